import Foundation
import Testing

/// The pages of docs/math and the citations of them: each cited page and section exists, and so does each test suite
/// that a page names as holding a section.
@Suite struct MathematicsCitationTests {
    @Test(arguments: ["Sources", "Tests", "docs"])
    func everyCitedSectionExists(_ folder: String) throws {
        let files = try TextFile.all(under: folder)
        #expect(files.contains { $0.isCiting }, "no file under \(folder) cites the mathematics")
        let pages = try MathematicsPage.all()
        let problems = files.flatMap { $0.problems(pages) }
        #expect(problems == [])
    }

    @Test func sectionsAreNumberedInOrder() throws {
        for page in try MathematicsPage.all() {
            let numbers = page.sections.map(\.number)
            #expect(!numbers.isEmpty, "docs/math/\(page.name) has no numbered section")
            #expect(numbers == Array(1..<(numbers.count + 1)), "docs/math/\(page.name)")
        }
    }

    /// The index states conventions and sources, which no suite holds.
    @Test func everySectionNamesSuitesThatExist() throws {
        let suites = try Self.suites()
        let pages = try MathematicsPage.all().filter { $0.name != "README.md" }
        #expect(!pages.isEmpty)
        for page in pages {
            for section in page.sections {
                let place = "docs/math/\(page.name), section \(section.number)"
                #expect(!section.holders.isEmpty, "\(place) names no suite that holds it")
                for holder in section.holders where !suites.contains(holder) {
                    Issue.record("\(place): there is no suite \(holder) under Tests")
                }
            }
        }
    }

    @Test func whatIsWrongIsFound() {
        let text =
            "# A\n\n## 1. One\n\nx = y\n\nHeld by `OneTests`,\n`TwoTests` and `swift test`.\n\n"
            + "## Not covered\n\nHeld by `ThreeTests`.\n"
        let page = MathematicsPage(name: "a-page.md", text: text)
        #expect(page.sections.map(\.number) == [1])
        #expect(page.sections.map(\.holders) == [["OneTests", "TwoTests"]])
        func problems(_ text: String) -> [String] {
            TextFile(path: "x.swift", text: text).problems([page])
        }
        #expect(problems("// One\n// (docs/math/a-page.md, section 1): x = y.") == [])
        #expect(
            problems("// One\n// (docs/math/a-page.md, section 2)")
                == ["x.swift:2: docs/math/a-page.md has no section 2"]
        )
        #expect(problems("docs/math/b.md, section 1") == ["x.swift:1: there is no page docs/math/b.md"])
        for incomplete in ["docs/math/a-page.md 1", "docs/math/a-page.md,\n// section 1", "docs/math/"] {
            #expect(
                problems(incomplete)
                    == ["x.swift:1: a citation is 'docs/math/PAGE.md, section N', on one line"],
                "\(incomplete)"
            )
        }
    }

    /// The suites under Tests; tests outside a suite go by the name of their file.
    private static func suites() throws -> Set<String> {
        var names: Set<String> = []
        for file in try TextFile.all(under: "Tests")
        where file.path.hasSuffix(".swift") && file.text.contains("@Test") {
            for match in file.text.matches(of: #/(?:struct|class|actor) ([A-Za-z]+Tests)\b/#) {
                names.insert(String(match.output.1))
            }
            if let name = file.path.split(separator: "/").last {
                names.insert(String(name.dropLast(".swift".count)))
            }
        }
        return names
    }
}

/// A text file of the repository.
private struct TextFile {
    /// From the root.
    let path: String
    let text: String

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let endings = [".swift", ".cu", ".cuh", ".h", ".py", ".md"]
    /// This file, which shows citations that are wrong.
    private static let own = "Tests/RecallSuiteTests/MathematicsCitationTests.swift"

    /// All text files under a folder but this one.
    static func all(under folder: String) throws -> [TextFile] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: folder).path)
        let paths = names.sorted().map { "\(folder)/\($0)" }.filter { path in
            path != own && endings.contains { path.hasSuffix($0) }
        }
        return try paths.map { path in
            TextFile(path: path, text: try String(contentsOf: root.appending(path: path), encoding: .utf8))
        }
    }

    /// Whether anything in it looks like a citation.
    var isCiting: Bool { text.contains("docs/math/") }

    /// What is wrong with its citations, with file and line.
    func problems(_ pages: [MathematicsPage]) -> [String] {
        guard isCiting else { return [] }
        var problems: [String] = []
        // Most lines cite nothing, and to match them all takes seconds.
        for (index, line) in text.components(separatedBy: "\n").enumerated() where line.contains("docs/math/") {
            let place = "\(path):\(index + 1)"
            let citations = line.matches(of: #/docs/math/([^ ,]+\.md), section ([0-9]+)/#)
            if line.components(separatedBy: "docs/math/").count - 1 != citations.count {
                problems.append("\(place): a citation is 'docs/math/PAGE.md, section N', on one line")
            }
            for citation in citations {
                let (name, number) = (String(citation.output.1), String(citation.output.2))
                if let page = pages.first(where: { $0.name == name }) {
                    if !page.sections.contains(where: { String($0.number) == number }) {
                        problems.append("\(place): docs/math/\(name) has no section \(number)")
                    }
                } else {
                    problems.append("\(place): there is no page docs/math/\(name)")
                }
            }
        }
        return problems
    }
}

/// A page of docs/math.
private struct MathematicsPage {
    /// A part under "## 3. Name", and the suites that its paragraph "Held by" names.
    struct Section {
        let number: Int
        var holders: [String] = []
    }

    let name: String
    private(set) var sections: [Section] = []

    init(name: String, text: String) {
        self.name = name
        var isNumbered = false
        for paragraph in text.components(separatedBy: "\n\n") {
            if paragraph.hasPrefix("#") {
                let number = paragraph.prefixMatch(of: #/## ([0-9]+)\. .+/#).flatMap { Int($0.output.1) }
                isNumbered = number != nil
                if let number { sections.append(Section(number: number)) }
            } else if isNumbered, paragraph.hasPrefix("Held by ") {
                for match in paragraph.matches(of: #/`([A-Za-z]+)`/#) {
                    sections[sections.count - 1].holders.append(String(match.output.1))
                }
            }
        }
    }

    static func all() throws -> [MathematicsPage] {
        let folder = "docs/math"
        return try TextFile.all(under: folder).map { file in
            MathematicsPage(name: String(file.path.dropFirst(folder.count + 1)), text: file.text)
        }
    }
}
