import Foundation

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// An element of a document that an XML parser reads.
public final class MarkupNode: @unchecked Sendable {
    public let name: String
    public let attributes: [String: String]
    public fileprivate(set) var children: [MarkupNode] = []
    /// All text in it, in order.
    public fileprivate(set) var text = ""

    fileprivate init(_ name: String, _ attributes: [String: String]) {
        (self.name, self.attributes) = (name, attributes)
    }

    /// This element and all beneath it, in the document's order.
    public var all: [MarkupNode] { [self] + children.flatMap(\.all) }

    /// Those of a name, this one among them.
    public func elements(_ name: String) -> [MarkupNode] { all.filter { $0.name == name } }

    public func element(id: String) -> MarkupNode? { all.first { $0.attributes["id"] == id } }
}

/// Reads a document strictly, as XML.
///
/// - Returns: nil where it is not well-formed; `complaint` says why.
public func parseMarkup(_ text: String) -> (root: MarkupNode?, complaint: String) {
    let reader = MarkupReader()
    let parser = XMLParser(data: Data(text.utf8))
    parser.delegate = reader
    let isWellFormed = parser.parse()
    return isWellFormed
        ? (reader.root, "") : (nil, "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "?")")
}

private final class MarkupReader: NSObject, XMLParserDelegate {
    var root: MarkupNode?
    private var open: [MarkupNode] = []

    func parser(
        _ parser: XMLParser,
        didStartElement name: String,
        namespaceURI: String?,
        qualifiedName: String?,
        attributes: [String: String] = [:]
    ) {
        let node = MarkupNode(name, attributes)
        open.last?.children.append(node)
        if root == nil { root = node }
        open.append(node)
    }

    func parser(_ parser: XMLParser, didEndElement: String, namespaceURI: String?, qualifiedName: String?) {
        open.removeLast()
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) {
        for node in open { node.text += text }
    }
}
