import Foundation

/// Times as the database and the CSVs hold them: ISO 8601, UTC, milliseconds, "2025-03-01T12:00:00.000Z"; they sort as
/// text.
package enum Timestamp {
    private static let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    package static func text(_ date: Date) -> String { date.formatted(style) }

    package static func date(_ text: String) -> Date? { try? style.parse(text) }
}
