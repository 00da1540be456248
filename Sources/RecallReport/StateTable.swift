import RecallInput
import RecallModels

/// What one sequence carries from token to token, by layer and kind, and what the published harness's formula gives for
/// the same model.
public struct StateTable: Sendable {
    public let items: [StateItem]
    /// Bytes; nil where the formula has none.
    public let published: Int?

    public init(_ items: [StateItem], published: Int?) {
        (self.items, self.published) = (items, published)
    }

    public var total: Int { items.map(\.bytes).saturatingSum() }

    /// A row a layer and kind under a header.
    public func lines(width: Int = 100) -> [String] {
        var table = TextTable([
            .init("layer", .right), .init("mixer", shrinks: true), .init("kind"), .init("bytes", .right),
        ])
        for item in items {
            table.add(["\(item.layer)", item.mixer, item.kind.rawValue, Format.count(item.bytes)])
        }
        return table.lines(width: width)
    }

    /// What stands beneath: the sum, the formula, and measured less published, in bytes and of what is published.
    public var summary: [(name: String, text: String)] {
        let measured = (name: "measured", text: Self.size(total))
        guard let published else {
            return [measured, ("published formula", "none: a mixer of it has no formula")]
        }
        return [
            measured, ("published formula", Self.size(published)),
            ("difference", Self.difference(total, published)),
        ]
    }

    private static func size(_ bytes: Int) -> String { "\(Format.count(bytes)) B (\(Format.bytes(bytes)))" }

    /// "+128 B (+4.8 %)"; "none".
    static func difference(_ measured: Int, _ published: Int) -> String {
        let bytes = measured.minus(published)
        guard bytes != 0 else { return "none" }
        let sign = bytes > 0 ? "+" : ""
        guard published != 0 else { return "\(sign)\(Format.count(bytes)) B" }
        let percent = Format.decimals(100 * Double(bytes) / Double(published), 1)
        return "\(sign)\(Format.count(bytes)) B (\(sign)\(percent) %)"
    }
}
