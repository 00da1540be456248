/// A figure as gnuplot draws it: panels beside one another, one title, one key to their right.
///
/// A value only: what it comes to is `text(format:size:output:)`, which is the same for the same value.
public struct PlotScript: Equatable, Sendable {
    public var title: String
    /// Stands beneath the title in red: why the figure is not to be trusted.
    public var warning: String?
    /// In rows, from the top left.
    public var panels: [PlotPanel]
    public var key: [PlotKeyEntry]

    public init(title: String, warning: String? = nil, panels: [PlotPanel], key: [PlotKeyEntry]) {
        precondition(!panels.isEmpty, "a figure of nothing")
        (self.title, self.warning, self.panels, self.key) = (title, warning, panels, key)
    }
}

/// What a figure's file is.
public enum PlotFormat: String, CaseIterable, Sendable {
    case svg, png

    /// By a file's suffix; nil for any other.
    public init?(path: String) {
        let suffix = path.split(separator: "/").last?.split(separator: ".").dropFirst().last
        self.init(rawValue: suffix?.lowercased() ?? "")
    }
}

/// One box with axes.
public struct PlotPanel: Equatable, Sendable {
    public var title: String
    public var x: PlotAxis
    public var y: PlotAxis
    /// From the bottom up.
    public var layers: [PlotLayer]

    public init(title: String = "", x: PlotAxis, y: PlotAxis, layers: [PlotLayer]) {
        (self.title, self.x, self.y, self.layers) = (title, x, y, layers)
    }
}

/// Something drawn from rows of numbers.
public struct PlotLayer: Equatable, Sendable {
    public enum Style: Equatable, Sendable {
        /// Rows of x and y, joined.
        case line(PlotStroke)
        /// Rows of x and y: level from each to the next x, then up or down.
        case steps(PlotStroke)
        /// Rows of x and y.
        case markers(PlotMarker)
        /// Rows of x, the lower end and the height.
        case bars(PlotStroke)
    }

    /// What it is of: a reader's program tells it where the pointer is.
    public var name: String
    public var style: Style
    /// An empty row breaks a line.
    public var rows: [[Double]]

    public init(_ name: String, _ style: Style, _ rows: [[Double]]) {
        (self.name, self.style, self.rows) = (name, style, rows)
    }
}

/// How a line is drawn.
public struct PlotStroke: Equatable, Sendable {
    /// "#rrggbb".
    public var colour: String
    /// In units of gnuplot's, a pixel or a little less.
    public var width: Double
    /// Lengths of strokes and gaps; empty for a line without gaps.
    public var dashes: [Int] = []

    public init(_ colour: String, width: Double, dashes: [Int] = []) {
        (self.colour, self.width, self.dashes) = (colour, width, dashes)
    }
}

/// How a point is drawn.
public struct PlotMarker: Equatable, Sendable {
    public enum Shape: Int, CaseIterable, Sendable {
        case circle, square, triangle, diamond, pentagon, downward
    }

    public var colour: String
    public var shape: Shape
    public var isOpen: Bool
    public var size: Double

    public init(_ colour: String, _ shape: Shape, isOpen: Bool = false, size: Double = 1.1) {
        (self.colour, self.shape, self.isOpen, self.size) = (colour, shape, isOpen, size)
    }

    /// gnuplot's number, the same for all of its terminals.
    var pointType: Int {
        let filled =
            switch shape {
            case .square: 5
            case .circle: 7
            case .triangle: 9
            case .downward: 11
            case .diamond: 13
            case .pentagon: 15
            }
        return isOpen ? filled - 1 : filled
    }
}

/// A line of the key: what is drawn so, and what that means.
public struct PlotKeyEntry: Equatable, Sendable {
    public var text: String
    public var line: PlotStroke?
    public var marker: PlotMarker?
    /// Upright, as the bars of an interval.
    public var bar: PlotStroke?

    public init(_ text: String, line: PlotStroke? = nil, marker: PlotMarker? = nil, bar: PlotStroke? = nil) {
        (self.text, self.line, self.marker, self.bar) = (text, line, marker, bar)
    }
}

/// Why there is no figure.
public enum PlotError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is nothing to draw; the text says why.
    case nothing(String)
    /// The size that was asked for leaves the panels no room.
    case tooSmall(width: Int, height: Int, leastWidth: Int, leastHeight: Int)
    case noGnuplot
    /// gnuplot ended with an error; the text is its own.
    case gnuplot(String)
    /// gnuplot could not be begun: it and the files that it reads need more file descriptors than the system allows.
    case tooFewDescriptors(limit: Int)
    /// What gnuplot reads could not be written; the reason is the system's.
    case temporaryFolder(String, reason: String)

    public var description: String {
        switch self {
        case .nothing(let why): why
        case .tooSmall(let width, let height, let leastWidth, let leastHeight):
            "this figure does not fit \(width)×\(height) pixels; it needs --width \(leastWidth) and --height "
                + "\(leastHeight) at least"
        case .noGnuplot:
            "gnuplot is not on PATH: install gnuplot-nox (Debian, Ubuntu), or write what it would draw with --script "
                + "FILE.gp"
        case .gnuplot(let why): "gnuplot failed: \(why)"
        case .tooFewDescriptors(let limit):
            "gnuplot cannot be run with so few open files: `ulimit -n` is \(limit), raise it to 256"
        case .temporaryFolder(let folder, let reason):
            "the folder for temporary files \(folder) cannot be written to (\(reason)); name another with TMPDIR"
        }
    }
}
