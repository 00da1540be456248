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
        (
            "name: x\n\ttask: 1\n",
            "x.yaml:2:1: not YAML: found a tab character that violates indentation (while "
                + "scanning a plain scalar, line 1, column 7); indent with spaces, not tabs"
        ),
        (
            "name: @x\n",
            "x.yaml:1:7: not YAML: found character that cannot start any token (while "
                + "scanning for the next token, line 1, column 7); put the value in quotes"
        ),
        (
            "name: 'x\n",
            "x.yaml:2:1: not YAML: found unexpected end of stream (while scanning a quoted "
                + "scalar, line 1, column 7)"
        ),
        (
            "name: x\n---\nname: y\n",
            "x.yaml:2:1: a second document begins here; a suite is one document, so remove the other"
        ),
        ("name: x\n...\nname: y\n", "x.yaml:3:1: not YAML: did not find expected <document start>"),
        ("name: *gone\n", "x.yaml:1:7: not YAML: found undefined alias"),
        ("name: !!int 5\n", "x.yaml:1:7: YAML tag '!!int' is not understood; remove it"),
        ("name: !mine x\n", "x.yaml:1:7: YAML tag '!mine' is not understood; remove it"),
        ("base: &b {a: 1}\nname: {<<: *b}\n", "x.yaml:2:8: merge keys are not understood; write the keys out"),
        ("? [a, b]\n: c\n", "x.yaml:1:3: a key must be a plain word"),
        (
            "a: &x [1]\nb: {? [*x] : 1}\n",
            "x.yaml:2:7: a key must be a plain word"
        ),
        ("a: &a [1]\nj: {*a, b: 1}\n", "x.yaml:2:5: a key must be a plain word"),
        ("a: &a [1]\nj: {[*a]}\n", "x.yaml:2:5: a key must be a plain word"),
        ("a: &a x\n*a : 1\n", "x.yaml:2:1: a key must be a plain word"),
        ("a: &a [1]\nj: !!set {*a}\n", "x.yaml:2:4: YAML tag '!!set' is not understood; remove it"),
        ("a: &a [*a]\n", "x.yaml:1:8: not YAML: found undefined alias"),
        ("name: a\u{7}b\n", "x.yaml:1:8: not YAML: control character U+0007; remove it"),
        ("\u{FEFF}nam: x\n", "x.yaml:1:1: nam: unknown key; did you mean 'name'?"),
        ("näme: x\r\nnom: 5", "x.yaml:1:1: näme: unknown key; did you mean 'name'?"),
        (
            "name: x\nname: y\nname: z\n",
            "x.yaml:2:1: key 'name' is there twice (first in line 1); keep one of them"
        ),
        (
            "task: {b: 1, b: 2}\nmodels: {b: 1, b: 2}\n",
            "x.yaml:1:14: key 'b' is there twice (first in line 1); keep one of them"
        ),
        (
            edited("name: plain", "name: \"a\\nb\""),
            "x.yaml:1:7: name: must not contain '\\n'; 'a\\nb' could not be given to --only"
        ),
        (
            "\"a\\nb\": x\n",
            "x.yaml:1:1: a\\nb: unknown key; there are name, description, task, training, control, models"
        ),
        (
            String(repeating: "[", count: 40) + String(repeating: "]", count: 40),
            "x.yaml:1:34: nested more than 32 deep; a suite is not"
        ),
        (
            String(repeating: "[", count: 900) + String(repeating: "]", count: 900),
            "x.yaml:1:34: nested more than 32 deep; a suite is not"
        ),
        (String(repeating: "[", count: 5000), "x.yaml:1:1: nested more than 32 deep; a suite is not"),
        (String(repeating: "- ", count: 5000), "x.yaml:1:67: nested more than 32 deep; a suite is not"),
        (String(repeating: "? ", count: 900), "x.yaml:1:3: a key must be a plain word"),
        (nest, "x.yaml:32:12: nested more than 32 deep; a suite is not"),
        (
            "name: " + String(repeating: "x", count: 2 << 20),
            "x.yaml:1:1: larger than 1 MiB, which is no suite; split it or use lists for grids"
        ),
        (laughs, "x.yaml:7:15: more than 200000 values once aliases are expanded"),
        (laughs + "b: {*a10, c: 1}\n", "x.yaml:7:15: more than 200000 values once aliases are expanded"),
        (
            "a: &a \(String(repeating: "x", count: 1 << 19))\nb: [\(Array(repeating: "*a", count: 16).joined(separator: ", "))]\n",
            "x.yaml:2:61: more than 8 MiB of text once aliases are expanded"
        ),
        (
            "\(String(repeating: "x", count: 257)): 1\n",
            "x.yaml:1:1: a key of 257 bytes; no key of a suite is that long"
        ),
        (
            String(repeating: "name: x\n", count: 100_000),
            "x.yaml:2:1: key 'name' is there twice (first in line 1); keep one of them"
        ),
        (
            "{\(String(repeating: "a: 1, ", count: 100_000))}",
            "x.yaml:1:8: key 'a' is there twice (first in line 1); keep one of them"
        ),
        (
            "[\(String(repeating: "1,", count: 300_000))]",
            "x.yaml:1:400000: more than 200000 values once aliases are expanded"
        ),
    ]

    /// Lists of one alias of the one before: every line is flat, and the last is as deep as there are lines.
    static let nest = (1...40).reduce("a0: &a0 [x]\n") { text, level in
        text + "a\(level): &a\(level) [*a\(level - 1)]\n"
    }

    /// What is within the limits is read in no time, however it is made up; what is wrong with it is then a suite's matter.
    @Test func largeDocumentsAreRead() {
        let keys = (0..<4000).map { "k\($0): 1\n" }.joined()
        #expect(refusal(keys)?.others.count == 3999)
        let shared = "a: &a [\(Array(repeating: "1", count: 400).joined(separator: ","))]\n"
        let aliases = "b: [\(Array(repeating: "*a", count: 490).joined(separator: ","))]\n"
        #expect(refusal(shared + aliases)?.message.hasPrefix("unknown key") == true)
    }

    /// Ten lists of nine aliases of the one before: 9¹⁰ values, if anyone counted them out.
    static let laughs = (1...10).reduce("a0: &a0 x\n") { text, level in
        text
            + "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", "))]\n"
    }
}
