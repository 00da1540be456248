import Foundation
import RecallReport
import TestSupport
import Testing

/// docs/tables.md describes every column of every table, in its order.
@Suite struct TableDocumentTests {
    /// The columns beneath "## `table`".
    private func page() throws -> [String: [String]] {
        var tables: [String: [String]] = [:]
        var name: String?
        for line in try RepositoryDocument.text("docs/tables.md").components(separatedBy: "\n") {
            if line.hasPrefix("#") {
                name =
                    line.hasPrefix("## `") ? line.split(separator: "`").dropFirst().first.map(String.init) : nil
                if let name { tables[name] = [] }
            } else if let name, line.hasPrefix("| "), !line.hasPrefix("| column "), !line.hasPrefix("| --- ") {
                let cells = line.dropFirst(2).components(separatedBy: " | ")
                #expect(cells.count == 2 && cells[1].count > 3, "\(line)")
                tables[name]?.append(cells[0])
            }
        }
        return tables
    }

    @Test func everyColumnIsDescribed() throws {
        let page = try page()
        #expect(Set(page.keys) == Set(CSVTable.allCases.map(\.rawValue)))
        for table in CSVTable.allCases {
            // The settings of mixers are one row of the page.
            var columns = table.columns.filter { !$0.hasPrefix("setting_") }
            if columns.count < table.columns.count {
                #expect(
                    table.columns.suffix(table.columns.count - columns.count).allSatisfy {
                        $0.hasPrefix("setting_")
                    }
                )
                columns.append("setting_NAME")
            }
            #expect(page[table.rawValue] == columns, "\(table.rawValue)")
        }
    }
}
