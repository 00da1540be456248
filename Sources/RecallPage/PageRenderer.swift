import Mustache
import RecallReport

/// Puts a page into its templates: HTML5 that an XML parser reads too, whole in itself, without a script.
public struct PageRenderer: Sendable {
    private let library: MustacheLibrary

    /// What the outermost template sees.
    private struct Document {
        let page: ReportPage
        let stylesheet: String
    }

    public init() {
        MustacheContentTypes.register(PageText(), named: PageText.name)
        library = MustacheLibrary(
            templates: Self.templates.mapValues { bytes in
                // They are part of the program, and every page that is made goes through all of them.
                do { return try MustacheTemplate(string: String(decoding: bytes, as: UTF8.self)) } catch {
                    preconditionFailure("a template does not parse: \(error)")
                }
            }
        )
    }

    /// By the names that they call one another by.
    static var templates: [String: [UInt8]] {
        [
            "page": PackageResources.page_mustache, "warnings": PackageResources.warnings_mustache,
            "section": PackageResources.section_mustache, "figure": PackageResources.figure_mustache,
            "table": PackageResources.table_mustache, "cell": PackageResources.cell_mustache,
        ]
    }

    /// The whole document; the same for the same page.
    public func render(_ page: ReportPage) -> String {
        let stylesheet = String(decoding: PackageResources.page_css, as: UTF8.self)
        guard
            let text = library.render(Document(page: page, stylesheet: stylesheet), withTemplate: "page")
        else { preconditionFailure("there is no template of the page") }
        return text
    }
}

/// Text as HTML and XML may hold it. Mustache's own escaping goes by characters, and does not know a quote that a mark
/// combines with; this one goes by scalars, and no control character reaches the page.
struct PageText: MustacheContentType {
    /// What templates call it.
    static let name = "PAGE"

    func escapeText(_ text: String) -> String {
        var escaped = ""
        escaped.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case "\t", "\n": escaped.unicodeScalars.append(scalar)
            case "\r": escaped += "&#13;"
            default:
                let isBarred =
                    scalar.properties.generalCategory == .control || scalar.value & 0xFFFE == 0xFFFE
                escaped.unicodeScalars.append(isBarred ? "\u{FFFD}" : scalar)
            }
        }
        return escaped
    }
}
