import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Held while a database is made or migrated, so that two processes do not do it at once. A lock on the database's folder
/// leaves no file behind, and the system takes it away from a process that dies.
struct CreationLock {
    private let descriptor: Int32

    /// Seconds between tries.
    private static let interval = 0.05
    /// Seconds after which a wait is worth a word.
    private static let quietSeconds = 1.0

    /// Takes the lock. While another process has it, this one waits as long as it would for a writer of the database.
    ///
    /// - Parameters:
    ///   - path: the file as the user named it.
    ///   - patience: seconds to wait at most.
    ///   - say: called once, with a sentence, where that takes more than a moment.
    /// - Throws: `StoreError` where the folder cannot be opened, or is held for longer.
    init(
        besides file: String,
        named path: String,
        patience: TimeInterval,
        say: (_ sentence: String) -> Void
    ) throws {
        let folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? "."
        descriptor = open(folder, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Store.unwritable(path, "the folder \(folder) cannot be opened", errno)
        }
        let began = ContinuousClock.now
        var hasSaid = false
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            // A file system without locks must not keep anybody from working.
            guard errno == EWOULDBLOCK || errno == EINTR else { return }
            let seconds = (ContinuousClock.now - began) / .seconds(1)
            guard seconds < patience else {
                let error = StoreError.folderHeld(path, folder, by: Self.holder(of: descriptor), for: patience)
                close(descriptor)
                throw error
            }
            if !hasSaid, seconds >= min(Self.quietSeconds, patience / 2) {
                hasSaid = true
                say(
                    "waiting for \(Self.holder(of: descriptor) ?? "another process"), which holds a lock on the folder "
                        + "\(folder) of \(path)"
                )
            }
            Thread.sleep(forTimeInterval: min(Self.interval, patience - seconds))
        }
    }

    func release() { close(descriptor) }

    /// "process 17 (recall-bench)"; nil where the system does not tell.
    private static func holder(of descriptor: Int32) -> String? {
        var status = stat()
        guard fstat(descriptor, &status) == 0,
            let locks = try? String(contentsOfFile: "/proc/locks", encoding: .utf8),
            let pid = holder(device: UInt64(status.st_dev), number: UInt64(status.st_ino), in: locks)
        else { return nil }
        let name = try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)
        return "process \(pid)"
            + (name.map { " (\($0.trimmingCharacters(in: .whitespacesAndNewlines)))" } ?? "")
    }

    /// Who holds a lock on a file by `/proc/locks`: "1: FLOCK  ADVISORY  WRITE 17 fe:00:1234 0 EOF", the device's numbers in
    /// hexadecimal. nil also for a process of another namespace, which has the number 0.
    static func holder(device: UInt64, number: UInt64, in locks: String) -> Int32? {
        func hexadecimal(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return digits.count < 2 ? "0" + digits : digits
        }
        // As the C library cuts a device's number in two.
        let major = (device >> 8) & 0xFFF | (device >> 32) & ~0xFFF
        let minor = device & 0xFF | (device >> 12) & ~0xFF
        let file = "\(hexadecimal(major)):\(hexadecimal(minor)):\(number)"
        for line in locks.split(separator: "\n") {
            let words = line.split(separator: " ")
            // What waits for a lock is listed below it, after an arrow.
            guard words.count >= 6, words[1] == "FLOCK", words[5] == file, let pid = Int32(words[4]), pid > 0
            else { continue }
            return pid
        }
        return nil
    }
}
