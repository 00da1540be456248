import Foundation
import RecallInput
import RecallTraining
import Testing

struct SafeTensorsTests {
    private let arrays = [
        NamedArray(
            name: "a.weight",
            shape: [2, 3],
            values: [1, -2, .infinity, 0, -0.0, .leastNonzeroMagnitude]
        ),
        NamedArray(name: "b", shape: [], values: [3.25]),
        NamedArray(name: "empty", shape: [0, 4], values: []),
        NamedArray(name: "ü \"quoted\"", shape: [1], values: [.greatestFiniteMagnitude]),
    ]
    private let metadata = ["version": "1", "record": #"{"epoch":1}"#, "ü": "ß"]

    /// A file with a header as given and so many bytes of numbers.
    private func file(_ header: String, bytes: Int = 0, length: UInt64? = nil) -> Data {
        let json = Data(header.utf8)
        var data = withUnsafeBytes(of: (length ?? UInt64(json.count)).littleEndian) { Data($0) }
        data.append(json)
        data.append(Data(repeating: 0, count: bytes))
        return data
    }

    private func entry(_ shape: String, _ offsets: String, type: String = "F32") -> String {
        #"{"x":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}}"#
    }

    @Test func whatIsWrittenIsRead() throws {
        let data = try SafeTensors.encode(arrays, metadata: metadata)
        let (read, readMetadata) = try SafeTensors.decode(data)
        #expect(readMetadata == metadata)
        #expect(read.map(\.name) == arrays.map(\.name).sorted())
        for array in arrays {
            let same = try #require(read.first { $0.name == array.name })
            #expect(same.shape == array.shape)
            #expect(same.values.map(\.bitPattern) == array.values.map(\.bitPattern))
        }
        // A slice's indices need not start at zero.
        let padded = Data([1, 2, 3]) + data
        #expect(try SafeTensors.decode(padded.dropFirst(3)).arrays == read)
    }

    @Test func theNumbersStartAtAMultipleOfEight() throws {
        for name in ["a", "ab", "abc", "abcd", "abcde"] {
            let data = try SafeTensors.encode([NamedArray(name: name, shape: [1], values: [1])], metadata: [:])
            #expect((data.count - 4) % 8 == 0)
            #expect(data.suffix(4) == Data([0, 0, 0x80, 0x3F]))
        }
    }

    /// A header as other writers make it: other order, spaces, no metadata, arrays in another order than their bytes.
    @Test func filesOfOtherWritersAreRead() throws {
        let data = file(
            #"{ "b": {"shape": [1], "data_offsets": [4, 8], "dtype": "F32"}, "#
                + #""a": {"data_offsets": [0, 4], "dtype": "F32", "shape": [1, 1]} }  "#,
            bytes: 8
        )
        let (read, metadata) = try SafeTensors.decode(data)
        #expect(
            read == [
                NamedArray(name: "a", shape: [1, 1], values: [0]),
                NamedArray(name: "b", shape: [1], values: [0]),
            ]
        )
        #expect(metadata.isEmpty)
        #expect(try SafeTensors.decode(file("{}")).arrays.isEmpty)
    }

    @Test func everyTruncationIsRefused() throws {
        let data = try SafeTensors.encode(arrays, metadata: metadata)
        for count in 0..<data.count {
            #expect(throws: SafeTensors.FormatError.self) { try SafeTensors.decode(data.prefix(count)) }
        }
    }

    /// Every single byte of the header changed: read or refused, never a trap.
    @Test func changedBytesNeverTrap() throws {
        let data = try SafeTensors.encode(Array(arrays.prefix(2)), metadata: ["version": "1"])
        for index in 0..<data.count {
            for byte: UInt8 in [
                0, 0xFF, UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "\""), data[index] ^ 1,
            ] {
                var changed = data
                changed[index] = byte
                _ = try? SafeTensors.decode(changed)
            }
        }
    }

    @Test func malformedFilesAreRefused() {
        let files: [(String, Data)] = [
            ("nothing", Data()),
            ("a header longer than the file", file("{}", length: 3)),
            ("a huge header", file("{}", length: 1 << 40)),
            ("the hugest header", file("{}", length: .max)),
            ("a header length above Int's", file("{}", length: 1 << 63)),
            ("no JSON", file("{nonsense")),
            ("not an object", file("[1, 2]")),
            ("not UTF-8", file("{}").prefix(8) + Data([0xFF, 0xFE])),
            ("an entry that is no object", file(#"{"x": 3}"#)),
            ("an entry without a shape", file(#"{"x": {"dtype": "F32", "data_offsets": [0, 0]}}"#)),
            ("another type", file(entry("[1]", "[0,2]", type: "BF16"), bytes: 2)),
            ("a negative size", file(entry("[-1]", "[0,4]"), bytes: 4)),
            ("two negative sizes", file(entry("[-1,-1]", "[0,4]"), bytes: 4)),
            ("a fractional size", file(entry("[1.5]", "[0,4]"), bytes: 4)),
            ("a size that is no whole number's text", file(entry("[1.0]", "[0,4]"), bytes: 4)),
            ("a size with an exponent", file(entry("[1e0]", "[0,4]"), bytes: 4)),
            ("an offset that is no whole number's text", file(entry("[1]", "[0,4.0]"), bytes: 4)),
            ("a boolean size", file(entry("[true]", "[0,4]"), bytes: 4)),
            ("a size that is no number", file(entry(#"["1"]"#, "[0,4]"), bytes: 4)),
            ("an impossible shape", file(entry("[4611686018427387904,4]", "[0,4]"), bytes: 4)),
            ("a shape whose bytes overflow", file(entry("[4611686018427387904]", "[0,4]"), bytes: 4)),
            ("a size beyond Int", file(entry("[1e30]", "[0,4]"), bytes: 4)),
            ("offsets out of range", file(entry("[2]", "[0,8]"), bytes: 4)),
            (
                "offsets far out of range",
                file(entry("[1]", "[9223372036854775803,9223372036854775807]"), bytes: 4)
            ),
            ("offsets backwards", file(entry("[1]", "[4,0]"), bytes: 8)),
            ("negative offsets", file(entry("[1]", "[-4,0]"), bytes: 8)),
            ("the most negative offset", file(entry("[1]", "[-9223372036854775808,4]"), bytes: 8)),
            ("three offsets", file(entry("[1]", "[0,4,8]"), bytes: 8)),
            ("fewer bytes than the shape", file(entry("[2]", "[0,4]"), bytes: 8)),
            ("more bytes than the shape", file(entry("[1]", "[0,8]"), bytes: 8)),
        ]
        for (what, data) in files {
            #expect(throws: SafeTensors.FormatError.self, "\(what)") { try SafeTensors.decode(data) }
        }
    }

    /// Two arrays of one dimension, in bytes from and to.
    private func two(_ a: Range<Int>, _ b: Range<Int>, bytes: Int) -> Data {
        let entries = [("a", a), ("b", b)].map { name, place in
            #""\#(name)":{"dtype":"F32","shape":[\#(place.count / 4)],"#
                + #""data_offsets":[\#(place.lowerBound),\#(place.upperBound)]}"#
        }
        return file("{\(entries.joined(separator: ","))}", bytes: bytes)
    }

    /// Every byte belongs to one array.
    @Test(arguments: [
        (0..<8, 4..<12, 12, "'a' and 'b' lie over each other"),
        (0..<8, 0..<8, 8, "'a' and 'b' lie over each other"),
        (0..<12, 4..<8, 12, "'a' and 'b' lie over each other"),
        (8..<12, 0..<12, 12, "'b' and 'a' lie over each other"),
        (0..<4, 8..<12, 12, "bytes 4..<8 belong to no array"),
        (4..<8, 8..<12, 12, "bytes 0..<4 belong to no array"),
        (0..<4, 4..<8, 9, "bytes 8..<9 belong to no array"),
        (0..<4, 6..<6, 8, "bytes 4..<6 belong to no array"),
    ])
    func bytesOfTwoArraysOrOfNoneAreRefused(a: Range<Int>, b: Range<Int>, bytes: Int, reason: String) {
        let error = #expect(throws: SafeTensors.FormatError.self) {
            try SafeTensors.decode(two(a, b, bytes: bytes))
        }
        #expect(error?.description == reason)
    }

    @Test func arraysThatMeetAreRead() throws {
        for (a, b) in [(0..<4, 4..<12), (4..<12, 0..<4), (0..<0, 0..<12), (0..<12, 12..<12)] {
            #expect(try SafeTensors.decode(two(a, b, bytes: 12)).arrays.count == 2)
        }
        #expect(throws: SafeTensors.FormatError.self) { try SafeTensors.decode(file("{}", bytes: 4)) }
    }

    /// The format's own rules for a header, each named.
    @Test(arguments: [
        (
            #"{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"\u0078":{"dtype":"F32"}}"#,
            "its header has 'x' twice"
        ),
        (#"{"__metadata__":{"a":"1","b":"","a":"2"}}"#, "its header has 'a' twice"),
        (#"{"__metadata__":{},"__metadata__":{}}"#, "its header has '__metadata__' twice"),
        (#"{"__metadata__":{"a":{"b":[{"c":1,"c":1}]}}}"#, "its header has 'c' twice"),
        (
            #"{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4],"more":[{"y":1,"y":2}]}}"#,
            "its header has 'y' twice"
        ),
        ("{nonsense", "its header is not JSON at byte 9"),
        (
            #"{"x":\#(String(repeating: "[", count: 70))\#(String(repeating: "]", count: 70))}"#,
            "its header is nested more than 64 deep"
        ),
        (
            #"{"x":{"dtype":"F32","shape":[\#(Array(repeating: "1", count: 65).joined(separator: ","))],"data_offsets":[0,4]}}"#,
            "'x' has 65 dimensions; at most 64 are read"
        ),
        (
            #"{"x":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}"#,
            "its header has 'dtype' twice"
        ),
        (
            #"{"__metadata__":{"run_id":"x","step":3}}"#,
            "its metadata have 'step' that is no text; the format allows text alone"
        ),
        (#"{"__metadata__":["a"]}"#, "its '__metadata__' is not a mapping"),
        ("{}\0\0\0", "its header is padded with NUL bytes; the format pads with spaces"),
        ("{\0}\0", "its header has a NUL byte at byte 9; the format has UTF-8 text there"),
        (" {}", "its header does not begin with '{'"), ("", "its header does not begin with '{'"),
        (
            #"{"x":{"dtype":"F31","shape":[],"data_offsets":[0,4]}}"#,
            "'x' is F31, which is no type of the format"
        ),
        (#"{"x":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}"#, "'x' is I64; only F32 is read here"),
    ]) func rulesOfTheFormatAreNamed(header: String, reason: String) {
        let error = #expect(throws: SafeTensors.FormatError.self) {
            try SafeTensors.decode(file(header, bytes: 4))
        }
        #expect(error?.description == reason)
    }

    /// The same name in two objects, and strings that look like keys, are nobody's repetition.
    @Test func keysOfOtherObjectsAreNotRepetitions() throws {
        let header =
            #"{"__metadata__":{"a":"{\"a\":1,\"a\":2}","b":"a\\"},"#
            + #""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
            + #""b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}  "#
        let (arrays, metadata) = try SafeTensors.decode(file(header, bytes: 8))
        #expect(arrays.map(\.name) == ["a", "b"] && metadata["b"] == "a\\")
    }

    /// An optimizer's step count of PyTorch is I64: passed over, but its bytes are still its own.
    @Test func arraysThatArePassedOverMayBeOfAnyType() throws {
        let header =
            #"{"optimizer.step":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"#
            + #""w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#
        let passesOver = { (name: String) in name.hasPrefix("optimizer.") }
        #expect(
            try SafeTensors.decode(file(header, bytes: 12), passesOver: passesOver).arrays.map(\.name) == ["w"]
        )
        let short = header.replacingOccurrences(of: "[0,8]", with: "[0,4]").replacingOccurrences(
            of: "[8,12]",
            with: "[4,8]"
        )
        #expect(throws: SafeTensors.FormatError.self) {
            try SafeTensors.decode(file(short, bytes: 8), passesOver: passesOver)
        }
    }

    /// Foundation would take it for JSON.
    @Test func aHeaderInAnotherEncodingIsRefused() throws {
        let text = try #require(entry("[1]", "[0,4]").data(using: .utf16LittleEndian))
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
        let error = #expect(throws: SafeTensors.FormatError.self) {
            try SafeTensors.decode(length + text + Data(count: 4))
        }
        #expect(error?.description == "its header has a NUL byte at byte 9; the format has UTF-8 text there")
    }

    /// Neither nesting nor numbers may exhaust the stack or the patience.
    @Test func strangeFilesNeverTrap() throws {
        let deep = String(repeating: "[", count: 100_000)
        for text in [
            deep, #"{"x":"# + deep, #"{"__metadata__":"# + String(repeating: #"{"a":"#, count: 100_000),
        ] {
            #expect(throws: SafeTensors.FormatError.self) { try SafeTensors.decode(file(text)) }
        }
        let many = String(repeating: "[],", count: 300_000) + "[]"
        for text in [#"{"x":[\#(many)]}"#, #"{"x":{"dtype":"F32","shape":[\#(many)],"data_offsets":[0,0]}}"#] {
            let error = #expect(throws: SafeTensors.FormatError.self) { try SafeTensors.decode(file(text)) }
            #expect(error?.description == "its entry 'x' is not of the format")
        }
        let empty = (0..<30_000).map { #""a\#($0)":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"# }
        #expect(try SafeTensors.decode(file("{\(empty.joined(separator: ","))}")).arrays.count == 30_000)
        _ = try? SafeTensors.decode(
            file(#"{"x":{"dtype":"F32","shape":[true],"data_offsets":[false,4]}}"#, bytes: 4)
        )
    }

    // MARK: Files

    /// A file that has more bytes by its size than anybody could read, and what its header makes of them.
    private func sparse(_ header: String, bytes: UInt64, _ body: (String) throws -> Void) throws {
        let folder = try TemporaryFolder()
        let path = folder.path("sparse.safetensors")
        try file(header).write(to: URL(fileURLWithPath: path))
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.truncate(atOffset: UInt64(8 + header.utf8.count) + bytes)
        try handle.close()
        try body(path)
    }

    /// Sizes are compared before anything is read or allocated for it: the holes of these files are a terabyte.
    @Test func nothingIsReadOfAFileThatIsRefused() throws {
        let terabyte: UInt64 = 1 << 40
        for (header, reason) in [
            ("{}", "bytes 0..<\(terabyte) belong to no array"),
            (entry("[1]", "[0,4]"), "bytes 4..<\(terabyte) belong to no array"),
            (entry("[\(terabyte)]", "[0,\(4 * terabyte)]"), "'x' is cut short or misplaced"),
            ("\0", "its header does not begin with '{'"),
        ] {
            try sparse(header, bytes: terabyte) { path in
                let error = #expect(throws: SafeTensors.FormatError.self) { try SafeTensorsFile(path: path) }
                #expect(error?.description == reason)
            }
        }
    }

    /// Nor of one that is in order, but for what is asked for.
    @Test func onlyWhatIsAskedForIsRead() throws {
        let last: UInt64 = 1 << 40
        let header =
            #"{"large":{"dtype":"F32","shape":[\#(last / 4)],"data_offsets":[4,\#(last + 4)]},"#
            + #""small":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
        try sparse(header, bytes: last + 4) { path in
            let file = try SafeTensorsFile(path: path)
            #expect(file.names == ["large", "small"] && file.shape(of: "large") == [Int(last / 4)])
            #expect(try file.values(of: "small") == [0])
            #expect(try file.values(of: "none") == nil)
        }
    }

    /// What has become shorter since then is said, and no page beyond its end is touched.
    @Test func aFileThatBecomesShorterIsSaid() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("a.safetensors")
        try SafeTensors.encode(arrays, metadata: metadata).write(to: URL(fileURLWithPath: path))
        let file = try SafeTensorsFile(path: path)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.truncate(atOffset: 16)
        try handle.close()
        #expect(throws: InputFileError.self) { try file.values(of: "a.weight") }
        #expect(file.metadata == metadata)
    }
}
