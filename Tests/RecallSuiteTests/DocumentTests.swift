import RecallSuite
import Testing

/// Whole documents that are no suite, or no YAML at all, and what is said of them.
@Suite struct DocumentTests {
    @Test(arguments: documents.indices)
    func isRefusedWithItsLine(_ index: Int) {
        let (yaml, line) = Self.documents[index]
        #expect(refusal(yaml)?.description == line)
    }

    static let documents: [(yaml: String, line: String)] = [
        ("", "x.yaml:1:1: the file is empty; a suite is a mapping that begins with 'name:'"),
        ("# nothing\n", "x.yaml:1:1: the file is empty; a suite is a mapping that begins with 'name:'"),
        (
            "- a\n- b\n",
            "x.yaml:1:1: a suite must be a mapping with name, description, task, training, control, models, not a list"
        ),
        (
            "\n\n  hello\n",
            "x.yaml:3:3: a suite must be a mapping with name, description, task, training, control, models, not 'hello'"
        ),
        (
            "name: x\nmodels: [a\n",
            "x.yaml:3:1: not YAML: did not find expected ',' or ']' (while parsing a flow sequence, line 2, column 9)"
        ),
        ("name: x\n\ttask: 1\n", "?"),
        ("name: @x\n", "?"),
        ("name: 'x\n", "?"),
        ("name: x\n---\nname: y\n", "?"),
        ("name: x\n...\nname: y\n", "?"),
        ("name: *gone\n", "?"),
        ("name: !!int 5\n", "?"),
        ("name: !mine x\n", "?"),
        ("base: &b {a: 1}\nname: {<<: *b}\n", "?"),
        ("? [a, b]\n: c\n", "?"),
        ("a: &x [1]\nb: {? [*x] : 1}\n", "?"),
        ("name: a\u{7}b\n", "?"),
        ("\u{FEFF}nam: x\n", "?"),
        ("näme: x\r\nnom: 5", "?"),
        ("name: x\nname: y\nname: z\n", "?"),
        ("task: {b: 1, b: 2}\nmodels: {b: 1, b: 2}\n", "?"),
        ("name: \"a\\nb\"\n", "?"),
        ("\"a\\nb\": x\n", "?"),
        (String(repeating: "[", count: 40) + String(repeating: "]", count: 40), "?"),
        (String(repeating: "[", count: 900) + String(repeating: "]", count: 900), "?"),
        (String(repeating: "[", count: 5000), "?"),
        (String(repeating: "- ", count: 5000), "?"),
        ("name: " + String(repeating: "x", count: 2 << 20), "?"),
        (laughs, "?"),
    ]

    /// Ten lists of nine aliases of the one before: 9¹⁰ values, if anyone counted them out.
    static let laughs = (1...10).reduce("a0: &a0 x\n") { text, level in
        text + "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", "))]\n"
    }
}
