import Foundation

/// A figure on a page, as an image in the page's own text.
///
/// An image of its own keeps what gnuplot calls its marks, the same names in every figure, apart from the page and from
/// other figures, whatever a version of gnuplot writes.
public struct PageFigure: Equatable, Sendable {
    public let caption: String
    /// What the figure shows, for who cannot see it.
    public let description: String
    /// `data:image/svg+xml;base64,…`; nil where the figure could not be drawn.
    public private(set) var address: String?
    /// Why there is none.
    public private(set) var absence: String?
    /// Whether that is because of gnuplot: a reason to tell whoever makes the page.
    public private(set) var isFault = false

    /// - Parameters:
    ///   - gnuplot: nil where it is not installed.
    ///   - script: the figure.
    /// - Throws: what the file system throws; a figure that gnuplot does not draw is absent.
    init(
        _ caption: String,
        description: String,
        gnuplot: Gnuplot?,
        _ script: () throws(PlotError) -> PlotScript
    ) throws {
        (self.caption, self.description) = (caption, description)
        do {
            let script = try script()
            guard let gnuplot else {
                (absence, isFault) = (Self.noGnuplot, true)
                return
            }
            let svg = try gnuplot.draw { try script.text(.svg, output: $0) }
            address = "data:image/svg+xml;base64," + svg.base64EncodedString()
        } catch let error as PlotError {
            absence = error.description
            switch error {
            case .nothing, .tooSmall: break
            case .noGnuplot, .gnuplot, .tooFewDescriptors, .temporaryFolder: isFault = true
            }
        }
    }

    static let noGnuplot =
        "gnuplot is not on PATH: the page is without its figures; install gnuplot-nox (Debian, Ubuntu)"
}
