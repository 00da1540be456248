import Foundation
import RecallReport
import RecallSuite
import Testing

@testable import RecallServe

/// Node, where it is on PATH: it runs the page's own code.
private let node: URL? = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    .map { "\($0)/node" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    .map { URL(fileURLWithPath: $0) }

/// The page's numbers read as the terminal's do.
@Suite("Numbers of the page", .enabled(if: node != nil, "node is not installed")) struct PageNumbersTests {
    /// What the page's code prints for an expression, a JSON text.
    private func evaluate(_ expression: String, importing names: String, from file: String) throws -> Data {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("page-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let words = PageWords(training: ShellCommand("run"), watching: ShellCommand("status"))
        for (path, content) in PageFile.all(words) where path.hasSuffix(".js") {
            // Paths of the server are files here.
            let text = String(decoding: content.bytes, as: UTF8.self)
                .replacing("from \"/", with: "from \"./")
            try Data(text.utf8).write(to: folder.appendingPathComponent(String(path.dropFirst())))
        }
        try Data("{\"type\": \"module\"}".utf8).write(to: folder.appendingPathComponent("package.json"))
        let script = folder.appendingPathComponent("test.js")
        try Data("import { \(names) } from \"./\(file)\";\nconsole.log(JSON.stringify(\(expression)));\n".utf8)
            .write(to: script)
        let output = folder.appendingPathComponent("output")
        try Data().write(to: output)
        let process = Process()
        process.executableURL = node
        process.arguments = [script.path]
        process.standardOutput = try FileHandle(forWritingTo: output)
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return try Data(contentsOf: output)
    }

    private func texts(_ function: String, of numbers: [Double]) throws -> [String] {
        // Shortest decimals, which read back as the same numbers.
        let list = numbers.map { "\($0)" }.joined(separator: ",")
        let data = try evaluate(
            "[\(list)].map((value) => \(function)(value))",
            importing: function,
            from: "text.js"
        )
        return try JSONDecoder().decode([String].self, from: data)
    }

    private func check(_ function: String, _ numbers: [Double], _ expected: (Double) -> String) throws {
        let found = try texts(function, of: numbers)
        #expect(found.count == numbers.count)
        for (number, text) in zip(numbers, found) {
            #expect(text == expected(number), "\(function)(\(number))")
        }
    }

    @Test func bytes() throws {
        var numbers: [Int] = [
            0, 1, 512, 1023, 1024, 16_640, 16_641, 1_048_524, 1_048_525, 1_048_575, 1 << 20, 1 << 52,
        ]
        // Every twentieth of a kibibyte, halfway between tenths, is a whole number of bytes where a quarter of it is.
        for index in 0..<200 { numbers += [1024 + 256 * index, 7919 * index * index * index] }
        try check("bytes", numbers.map(Double.init)) { Format.bytes(Int($0)) }
    }

    @Test func accuracies() throws {
        let numbers: [Double] = (0...640).flatMap { [Double($0) / 640, min(1, Double($0) / 256)] }
        try check("accuracy", numbers + [0.9996]) { Format.accuracy($0) }
    }

    @Test func counts() throws {
        let numbers: [Int] = (0..<400).map { 125 * $0 } + [999_499, 999_500, 1_234_567, 123_456_789]
        try check("count", numbers.map(Double.init)) { Format.compactCount(Int($0)) }
    }

    @Test func learningRates() throws {
        let rates: [Double] = [
            0, 0.003, 0.01, 1e-5, 1.5e-5, 0.0001, 0.000_099_99, 0.03125, 0.031_415, 1, 10, 100, 120, 999.6,
            1000,
            12_345, 1e-300,
        ]
        try check("learningRate", rates) { Format.learningRate($0) }
    }

    @Test func durations() throws {
        try check("duration", [0, 0.5, 1.5, 59.6, 61, 3600, 86_400, 172_799, 172_800, 1e9]) {
            Format.duration($0)
        }
    }

    /// A model without state has a place at the axis' edge, and every place is on the axis.
    @Test func noStateHasAPlace() throws {
        struct Axis: Decodable {
            let breakAt: Double
            let places: [Double]
            let ticks: [String]
        }
        func axis(_ states: [Int]) throws -> Axis {
            let expression =
                "[octaves('', \(states), 8)].map((axis) => ({ breakAt: axis.breakAt, "
                + "places: \(states).map(axis.place), ticks: axis.ticks.map(([, text]) => text) }))[0]"
            return try JSONDecoder().decode(
                Axis.self,
                from: evaluate(expression, importing: "octaves", from: "axes.js")
            )
        }
        for states in [[0], [0, 0], [0, 1], [0, 4096, 16_640], [2048], [0, 1 << 52]] {
            let axis = try axis(states)
            #expect(axis.places.allSatisfy { (0...1).contains($0) }, "\(states): \(axis.places)")
            for (state, place) in zip(states, axis.places) {
                #expect(state == 0 ? place < axis.breakAt : place >= axis.breakAt, "\(states): \(axis.places)")
            }
            #expect((axis.ticks.first == "0 B") == states.contains(0), "\(axis.ticks)")
        }
    }
}
