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
                in: .whitespacesAndNewlines)
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
            try NPYFile(bytes: Data(bytes), path: "a") == NPYFile(shape: [2], elements: .int64(values)))
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
                    == "its shape (2,) needs 2 elements of 8 bytes: it has 15 bytes")
            #expect(
                try message(file(good, body: 24))
                    == "its shape (2,) needs 2 elements of 8 bytes: it has 24 bytes")
            #expect(
                try message(file(good.replacingOccurrences(of: "<i8", with: ">f8"), body: 16))
                    == "its elements are '>f8'; little-endian integers up to int64, such as '<i8', '<i4' and '<u2', "
                    + "and float32 ('<f4') are read")
            #expect(
                try message(file("{'descr': '<i8', 'fortran_order': True, 'shape': (1, 2), }", body: 16))
                    == "it is in Fortran order")
            for shape in ["(-1,)", "(a,)", "2", "(", ""] {
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

    @Test func writersThatFailSayWhereAndWhy() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/missing/a.npy"
            let error = try #require(throws: DataFileError.self) {
                try NPYFile(shape: [1], elements: .int64([1])).write(to: path)
            }
            #expect(
                error
                    == DataFileError(
                        .inputOutput, path: path, message: "cannot be written: No such file or directory"))
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
