import Foundation
import RecallInput
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct InputFileTests {
    private func withTemporaryFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "recall-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private func refusal(_ path: String) -> InputFileError? {
        do {
            _ = try InputFile(path: path)
            return nil
        } catch { return error }
    }

    /// Nobody writes to the pipe: to open it would wait for ever.
    @Test func whatCouldWaitForEverIsRefused() throws {
        try withTemporaryFolder { folder in
            let pipe = folder + "/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            #expect(refusal(pipe)?.kind == .notRegular)
            #expect(
                refusal(pipe)?.description
                    == "\(pipe): is a named pipe; name a regular file, or /dev/stdin for what is piped in"
            )
            let link = folder + "/link"
            #expect(symlink(pipe, link) == 0)
            #expect(refusal(link)?.kind == .notRegular)
            for device in ["/dev/zero", "/dev/null", "/dev/tty"] where access(device, F_OK) == 0 {
                #expect(refusal(device)?.message.hasPrefix("is a device; ") == true, "\(device)")
            }
            #expect(refusal(folder)?.description == "\(folder): is a folder; name a file in it")
            #expect(refusal(folder)?.kind == .isFolder)
        }
    }

    @Test func whatIsNotThere() throws {
        try withTemporaryFolder { folder in
            try Data("a".utf8).write(to: URL(fileURLWithPath: folder + "/a"))
            for path in [folder + "/none", folder + "/a/b", "", folder + "/a\u{0}b"] {
                #expect(refusal(path)?.kind == .missing, "\(path.debugDescription)")
            }
            let loop = folder + "/loop"
            #expect(symlink(loop, loop) == 0)
            #expect(refusal(loop)?.kind == .unreadable)
        }
    }

    @Test func bytesOfARegularFile() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/a"
            // More than a piece of reading, and no whole number of pieces.
            let bytes = Data((0..<(5 << 18) + 7).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            try bytes.write(to: URL(fileURLWithPath: path))
            let file = try InputFile(path: path)
            #expect(file.size == bytes.count)
            #expect(try file.contents(upTo: bytes.count) == bytes)
            #expect(try file.contents(upTo: .max) == bytes)
            #expect(try file.beginning(upTo: 5) == bytes.prefix(5))
            #expect(try file.bytes(3..<1_200_000) == bytes[3..<1_200_000])
            #expect(try file.bytes(9..<9).isEmpty)
            let large = #expect(throws: InputFileError.self) { try file.contents(upTo: bytes.count - 1) }
            #expect(large?.kind == .tooLarge(limit: bytes.count - 1))
            let beyond = #expect(throws: InputFileError.self) { try file.bytes(0..<bytes.count + 1) }
            #expect(beyond?.kind == .cutShort)
            // Somebody makes it shorter once it is open.
            #expect(truncate(path, 100) == 0)
            let cut = #expect(throws: InputFileError.self) { try file.bytes(0..<101) }
            #expect(cut?.kind == .cutShort)
        }
    }

    /// Such files say that they have no byte.
    @Test func filesOfTheSystemAreReadToTheirEnd() throws {
        guard access("/proc/self/status", R_OK) == 0 else { return }
        let text = String(
            decoding: try InputFile(path: "/proc/self/status").contents(upTo: 1 << 20),
            as: UTF8.self
        )
        #expect(text.contains("VmRSS"))
    }

    /// As a shell hands over `<(command)`.
    @Test func whatTheShellHasOpenedIsRead() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let written = "name: piped\n"
        #expect(write(ends[1], written, written.utf8.count) == written.utf8.count)
        close(ends[1])
        defer { close(ends[0]) }
        let file = try InputFile(path: "/dev/fd/\(ends[0])")
        #expect(file.size == nil)
        #expect(try file.contents(upTo: 100) == Data(written.utf8))
        #expect(refusal("/dev/fd/99999")?.kind == .unreadable)
    }
}
