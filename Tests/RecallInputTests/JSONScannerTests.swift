import Foundation
import RecallInput
import Testing

@Suite struct JSONScannerTests {
    private func fault(_ text: String) -> JSONFault? { fault(Data(text.utf8)) }

    private func fault(_ text: Data) -> JSONFault? {
        do throws(JSONFault) {
            try JSONScanner.check(text)
            return nil
        } catch { return error }
    }

    @Test(arguments: [
        "{}", "[]", " [ ] ", "{\"a\":{\"a\":[{\"a\":null},{\"a\":true}]},\"b\":false}\r\n\t", "-0", "0",
        "10.50e+07", "-1E-2",
        "\"\"", #""\"\\\/\b\f\n\r\té😀 ü\#u{2028}""#, #"["a","a"]"#,
        String(repeating: "[", count: 64) + String(repeating: "]", count: 64),
        "[\(String(repeating: "[],", count: 100_000))[]]",
    ])
    func jsonIsJSON(_ text: String) { #expect(fault(text) == nil) }

    @Test(arguments: [
        ("", 0), ("{", 1), ("{}x", 2), ("[1,]", 3), ("{\"a\" 1}", 5), ("{\"a\":1,}", 7), ("{a:1}", 1),
        ("{1:1}", 1), ("01", 1), ("+1", 0),
        (".5", 0), ("1.", 2), ("1e", 2), ("-", 1), ("0x10", 1), ("nan", 1), ("nul", 3), ("True", 0), ("'a'", 0),
        ("\"a", 2), ("\"\n\"", 1),
        (#""\x""#, 2), (#""\u12g4""#, 5), (#""\ud800""#, 2), (#""\ud800A""#, 2), (#""\udc00""#, 2),
        ("[1 2]", 3),
        ("[}", 1), ("{]", 1), ("\u{FEFF}{}", 0), ("{}\u{0}", 2), ("/**/{}", 0),
    ])
    func whatIsNoJSONIsRefusedAtItsPlace(text: String, offset: Int) {
        #expect(fault(text) == JSONFault(kind: .notJSON, offset: offset))
    }

    @Test func otherFaultsAreNamed() throws {
        #expect(fault(#"{"a":1,"b":{"a":1},"a":2}"#) == JSONFault(kind: .repeatedKey("a"), offset: 19))
        #expect(fault(#"[[{"é":1,"\u00e9":2}]]"#)?.kind == .repeatedKey("é"))
        #expect(fault(String(repeating: "[", count: 65))?.kind == .tooDeep)
        #expect(fault(String(repeating: #"{"a":"#, count: 1 << 20))?.kind == .tooDeep)
        #expect(fault(Data([0x22, 0xFF, 0x22]))?.kind == .notUTF8)
        for encoding in [String.Encoding.utf16, .utf16LittleEndian, .utf32BigEndian] {
            #expect(fault(try #require("{\"a\":\"é\"}".data(using: encoding))) != nil, "\(encoding)")
        }
    }

    @Test func valuesOfAnotherTypeAreNil() throws {
        var scanner = try JSONScanner(
            Data(
                #"{"a":[2,"x",2.0,2e0,-3,-0,9223372036854775807,9223372036854775808],"b":["x",1,[],[0,4],[0,4.0],{}]}"#
                    .utf8
            )
        )
        var (integers, lists, texts): ([Int?], [[Int]?], [String?]) = ([], [], [])
        try scanner.object { scanner, key throws(JSONFault) in
            try scanner.array { scanner throws(JSONFault) in
                if key == "a" {
                    integers.append(try scanner.integer())
                } else {
                    lists.append(try scanner.integers())
                }
            }
        }
        try scanner.end()
        #expect(integers == [2, nil, nil, nil, -3, nil, .max, nil])
        #expect(lists == [nil, nil, [], [0, 4], nil, nil])
        scanner = try JSONScanner(Data(#"["\ud83d\ude00\u00e9\n", 1, {}]"#.utf8))
        try scanner.array { scanner throws(JSONFault) in texts.append(try scanner.text()) }
        #expect(texts == ["😀é\n", nil, nil])
        scanner = try JSONScanner(Data("[1]".utf8))
        #expect(try scanner.object { _, _ throws(JSONFault) in } == false)
    }
}
