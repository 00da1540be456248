import Foundation
import RecallData
import Testing

/// A folder of its own that is removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = NSTemporaryDirectory() + "/recall-data-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

@Suite struct NPYTests {
    /// numpy.save of zeros((3, 4), int64), the first 128 bytes as NumPy 2.4 wrote them.
    @Test func headerIsNumPysByteForByte() {
        let text = "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }"
        let expected =
            [0x93] + Array("NUMPY".utf8) + [1, 0, 0x76, 0] + Array(text.utf8)
            + [UInt8](repeating: 0x20, count: 128 - 10 - text.utf8.count - 1) + [0x0A]
        #expect(NPYFile.header(type: .int64, shape: [3, 4]) == expected)
        func dictionary(_ type: NPYFile.ElementType, _ shape: [Int]) -> String {
            let header = NPYFile.header(type: type, shape: shape)
            #expect(header.count % 64 == 0 && header.last == 0x0A)
            return String(decoding: header[10...], as: UTF8.self).trimmingCharacters(
                in: .whitespacesAndNewlines
            )
        }
        #expect(dictionary(.float32, [3]) == "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }")
        #expect(dictionary(.float32, []) == "{'descr': '<f4', 'fortran_order': False, 'shape': (), }")
        // NumPy keeps room for the first dimension to grow: 14 ones still fit 128 bytes, 15 take 192.
        #expect(NPYFile.header(type: .float32, shape: [Int](repeating: 1, count: 14)).count == 124 + 4)
        #expect(NPYFile.header(type: .float32, shape: [Int](repeating: 1, count: 15)).count == 192)
    }

    @Test func roundTrips() throws {
        try withTemporaryFolder { folder in
            let arrays = [
                NPYFile(shape: [2, 3], elements: .int64([1, -100, .max, .min, 0, 8191])),
                NPYFile(shape: [3], elements: .float32([0.5, -.infinity, 1e-30])),
                NPYFile(shape: [], elements: .int64([7])), NPYFile(shape: [0, 5], elements: .float32([])),
            ]
            for array in arrays {
                try array.write(to: folder + "/a.npy")
                #expect(try NPYFile(path: folder + "/a.npy") == array)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.npy"])
        }
    }

    @Test func elementsAreLittleEndian() throws {
        try withTemporaryFolder { folder in
            try NPYFile(shape: [1], elements: .int64([0x0102])).write(to: folder + "/a.npy")
            let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/a.npy"))
            #expect(Array(bytes.suffix(8)) == [2, 1, 0, 0, 0, 0, 0, 0])
            #expect(bytes.count == 136)
        }
    }

    /// Headers of other writers: no padding, other order of keys, double quotes, version 2.
    @Test func readsOtherWritersHeaders() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/a.npy"
            let text = Array(#"{"shape":(2,), "fortran_order":False, "descr":"<f4"}"#.utf8)
            let header = [0x93] + Array("NUMPY".utf8) + [2, 0, UInt8(text.count), 0, 0, 0] + text
            try Data(header + [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]).write(to: URL(fileURLWithPath: path))
            #expect(try NPYFile(path: path) == NPYFile(shape: [2], elements: .float32([1, -2])))
        }
    }

    /// What PyTorch pipelines and token files save; widened to int64.
    @Test(arguments: [
        ("<i4", [UInt8](arrayLiteral: 1, 0, 0, 0, 0x9C, 0xFF, 0xFF, 0xFF), [Int64](arrayLiteral: 1, -100)),
        ("<u4", [1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], [1, 4_294_967_295]),
        ("<i2", [2, 1, 0x9C, 0xFF], [258, -100]), ("<u2", [2, 1, 0xFF, 0xFF], [258, 65_535]),
        ("|i1", [1, 0x9C], [1, -100]), ("|u1", [1, 0xFF], [1, 255]),
    ]) func integersOfOtherWidthsAreRead(descr: String, body: [UInt8], values: [Int64]) throws {
        let text = Array("{'descr': '\(descr)', 'fortran_order': False, 'shape': (2,), }".utf8)
        let bytes = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.count), 0] + text + body
        #expect(
            try NPYFile(bytes: Data(bytes), path: "a") == NPYFile(shape: [2], elements: .int64(values))
        )
        let error = try #require(throws: DataFileError.self) {
            try NPYFile(bytes: Data(bytes.dropLast()), path: "a")
        }
        #expect(error.message.hasPrefix("its shape (2,) needs 2 elements of \(body.count / 2) bytes"))
    }

    @Test func damagedFilesAreRefusedByName() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/bad.npy"
            func message(_ bytes: [UInt8]) throws -> String {
                try Data(bytes).write(to: URL(fileURLWithPath: path))
                let error = try #require(throws: DataFileError.self) { try NPYFile(path: path) }
                #expect(error.path == path)
                #expect("\(error)" == path + ": " + error.message)
                return error.message
            }
            func file(_ text: String, version: UInt8 = 1, body: Int = 0) -> [UInt8] {
                [0x93] + Array("NUMPY".utf8) + [version, 0, UInt8(text.utf8.count), 0] + Array(text.utf8)
                    + [UInt8](repeating: 0, count: body)
            }
            let good = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }"
            #expect(try message([]) == "not an .npy file")
            #expect(try message(Array("hello, this is text".utf8)) == "not an .npy file")
            #expect(try message(file(good, version: 9)) == "version 9 of the .npy format is not known")
            #expect(try message(Array(file(good).prefix(40))) == "its header is cut off")
            #expect(
                try message(file(good, body: 15))
                    == "its shape (2,) needs 2 elements of 8 bytes: it has 15 bytes"
            )
            #expect(
                try message(file(good, body: 24))
                    == "its shape (2,) needs 2 elements of 8 bytes: it has 24 bytes"
            )
            #expect(
                try message(file(good.replacingOccurrences(of: "<i8", with: ">f8"), body: 16))
                    == "its elements are '>f8'; little-endian integers up to int64, such as '<i8', '<i4' and '<u2', "
                    + "and float32 ('<f4') are read"
            )
            #expect(
                try message(file("{'descr': '<i8', 'fortran_order': True, 'shape': (1, 2), }", body: 16))
                    == "it is in Fortran order"
            )
            for shape in ["(2,)", "(a,)", "2", "(", ""] {
                let text = "{'descr': '<i8', 'fortran_order': False, 'shape': \(shape)"
                #expect(try message(file(text)).hasPrefix("its header is not understood: {"))
            }
            let huge = "{'descr': '<i8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"
            #expect(try message(file(huge)) == "its shape (4294967296, 4294967296) is impossible")

            let missing = try #require(throws: DataFileError.self) { try NPYFile(path: folder + "/none.npy") }
            #expect(missing.message == "cannot be read: No such file or directory")
            #expect(missing.kind == .missing)
        }
    }

    /// A header means what Python makes of it, or it is refused with what is wrong: these are no shapes to NumPy.
    @Test(arguments: [
        "(+100, 32)", "(-1,)", "(1e3,)", "(2.0,)", "(02,)", "(2)", "2", "[2]", "(,)", "(2,,)", "(, 2)",
        "((2,),)", "(2 1,)", "('2',)", "(None,)", "(0x2,)", "(9223372036854775808,)",
    ])
    func shapesAreTuplesOfWholeNumbers(_ shape: String) {
        #expect(
            refusal("{'descr': '<i8', 'fortran_order': False, 'shape': \(shape), }")
                == "its shape \(shape) is no tuple of whole numbers, such as (100, 32) or (100,)"
        )
    }

    /// What is said of a file of two numbers with this header; nil where it is read.
    private func refusal(_ text: String, version: UInt8 = 1) -> String? {
        let length = [UInt8(text.utf8.count & 255), UInt8(text.utf8.count >> 8)] + (version > 1 ? [0, 0] : [])
        let header = [0x93] + Array("NUMPY".utf8) + [version, 0] + length + Array(text.utf8)
        do {
            _ = try NPYFile(bytes: Data(header + [UInt8](repeating: 0, count: 16)), path: "a")
            return nil
        } catch { return error.message }
    }

    @Test(arguments: [
        (
            "{'shape': (9,), 'descr': '<i8', 'fortran_order': False, 'shape': (2,)}",
            "its header has 'shape' twice"
        ),
        (
            "{'descr': '<i8', 'descr': '<i8', 'fortran_order': False, 'shape': (2,)}",
            "its header has 'descr' twice"
        ),
        (
            "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)\0}",
            "its header has a NUL byte at byte 54 of its text"
        ),
        (
            "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}\0",
            "its header has a NUL byte at byte 55 of its text"
        ),
        ("{'descr': '<i8', 'fortran_order': False}", "its header has no 'shape'"),
        ("{}", "its header has no 'descr'"),
        (
            "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), 'order': 1}",
            "its header has 'order', which is no key of the format"
        ),
        (
            "{'descr': '<i8', 'fortran_order': 0, 'shape': (2,)}",
            "its header has the fortran_order 0, which is neither True nor False"
        ),
        (
            "{'descr': '<i8', 'fortran_order': False, 'shape': (\(String(repeating: "1,", count: 65)))}",
            "it has 65 dimensions; at most 64 are read"
        ),
        (
            "{'descr': [('a', '<i4'), ('b', '<f4', (2, 2))], 'fortran_order': False, 'shape': (2,)}",
            "its elements are [('a', '<i4'), ('b', '<f4', (2, 2))]; little-endian integers up to int64, such as "
                + "'<i8', '<i4' and '<u2', and float32 ('<f4') are read"
        ),
        (
            "{'descr': <i8, 'fortran_order': False, 'shape': (2,)}",
            "its elements are <i8; little-endian integers up to int64, such as '<i8', '<i4' and '<u2', and "
                + "float32 ('<f4') are read"
        ),
    ])
    func whatIsWrongWithAHeaderIsNamed(text: String, reason: String) { #expect(refusal(text) == reason) }

    @Test(arguments: [
        "'", "{", "{'", "{'descr'", "{'descr':", "{'descr': '<i8'", "{'descr': '<i8',",
        "{'descr': '<i8' 'shape': (2,)}", "{'descr': '<\\x69 8'}", "{descr: '<i8'}", "{'descr': }",
        "{'descr': ,}", "{'descr': )}", "{'descr': ([}", "{'descr': '<i8', 'shape': ()()}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)} x", "{{}}", "[]", "",
    ])
    func whatIsNoDictionaryIsNotUnderstood(_ text: String) {
        #expect(refusal(text)?.hasPrefix("its header is not understood") == true, "\(refusal(text) ?? "")")
    }

    @Test(arguments: [
        "{'descr':'<i8','fortran_order':False,'shape':(2,)}",
        " { \"shape\" : ( 2 , 1 , ) ,\t'fortran_order' : False , 'descr' : \"<i8\" , } \n\n",
        "{'fortran_order': True, 'shape': (2,), 'descr': '<i8'}",
    ])
    func headersOfOtherWritersAreUnderstood(_ text: String) {
        for version: UInt8 in 1...3 { #expect(refusal(text, version: version) == nil) }
    }

    /// The header is all that is read of a file before somebody asks for its elements, and it is never long.
    @Test func longHeadersAndHolesAreNotRead() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/a.npy"
            func refusal(_ beginning: [UInt8], size: Int) throws -> String? {
                try Data(beginning).write(to: URL(fileURLWithPath: path))
                try #require(truncate(path, off_t(size)) == 0)
                do throws(DataFileError) {
                    _ = try NPYReader(path: path)
                    return nil
                } catch { return error.message }
            }
            let long = [0x93] + Array("NUMPY".utf8) + [2, 0, 0xFF, 0xFF, 0xFF, 0xFF]
            #expect(
                try refusal(long, size: 1 << 40) == "its header has 4294967295 bytes; at most 65524 are read"
            )
            #expect(try refusal(long, size: 1 << 20) == "its header is cut off")
            let good = NPYFile.header(type: .int64, shape: [1 << 37])
            #expect(try refusal(good, size: 1 << 40)?.hasPrefix("its shape (137438953472,) needs") == true)
            #expect(try refusal(good, size: good.count + 1 << 40) == nil)
            #expect(try NPYReader(path: path).int64(1 << 36..<1 << 36 + 2) == [0, 0])
        }
    }

    /// A file that is changed while it is read is said so, and no page beyond its end is touched.
    @Test func filesThatBecomeShorterAreSaid() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/a.npy"
            try NPYFile(shape: [1000], elements: .int64(Array(0..<1000))).write(to: path)
            let reader = try NPYReader(path: path)
            #expect(try reader.int64(998..<1000) == [998, 999])
            try #require(truncate(path, 0) == 0)
            let error = try #require(throws: DataFileError.self) { try reader.int64(0..<1) }
            #expect(error.kind == .content && error.path == path)
            try FileManager.default.removeItem(atPath: path)
            #expect(try #require(throws: DataFileError.self) { try reader.int64(0..<1) }.kind == .missing)
        }
    }

    @Test func writersThatFailSayWhereAndWhy() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/missing/a.npy"
            let error = try #require(throws: DataFileError.self) {
                try NPYFile(shape: [1], elements: .int64([1])).write(to: path)
            }
            #expect(
                error
                    == DataFileError(
                        .inputOutput,
                        path: path,
                        message: "cannot be written: No such file or directory"
                    )
            )
        }
    }

    @Test func anUnfinishedWriterLeavesNothing() throws {
        try withTemporaryFolder { folder in
            func start() throws {
                var writer = try NPYWriter(path: folder + "/a.npy", type: .int64, shape: [4])
                try writer.append([1, 2] as [Int64])
                #expect(FileManager.default.fileExists(atPath: folder + "/a.npy.partial"))
            }
            try start()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
        }
    }
}
