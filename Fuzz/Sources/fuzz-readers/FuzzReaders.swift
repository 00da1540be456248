import Foundation
import FuzzSupport
import Synchronization

// libFuzzer has `main`; these are the functions that it looks for (llvm.org/docs/LibFuzzer.html).

/// Which reader to try: the variable RECALL_BENCH_READER.
private let reader: FileReader = {
    let name = ProcessInfo.processInfo.environment["RECALL_BENCH_READER"] ?? ""
    guard let reader = FileReader(rawValue: name) else {
        let names = FileReader.allCases.map(\.rawValue).joined(separator: ", ")
        FileHandle.standardError.write(Data("RECALL_BENCH_READER must be one of \(names)\n".utf8))
        exit(64)
    }
    return reader
}()

/// How many inputs came how far.
private struct Counts {
    var refusedAtSight = 0
    var refused = 0
    var read = 0
}
private let counts = Mutex(Counts())

private func tell() {
    let (counts, name) = (counts.withLock { $0 }, reader.rawValue)
    let all = counts.refusedAtSight + counts.refused + counts.read
    let past = String(format: "%.1f", 100 * Double(all - counts.refusedAtSight) / Double(max(1, all)))
    FileHandle.standardError.write(
        Data(
            "\(name): \(all) inputs, \(past) % past the first look: \(counts.refused) refused for what they say, \(counts.read) read\n"
                .utf8
        )
    )
}

@_cdecl("LLVMFuzzerInitialize")
public func fuzzerInitialize(_: UnsafeMutableRawPointer, _: UnsafeMutableRawPointer) -> CInt {
    _ = reader
    atexit { tell() }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzerTestOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let depth = reader.read(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return counts.withLock {
        switch depth {
        case .refusedAtSight:
            $0.refusedAtSight += 1
            // Not into the corpus: what is made of such a file is seldom looked at any closer.
            return -1
        case .refused: $0.refused += 1
        case .read: $0.read += 1
        }
        return 0
    }
}

@_silgen_name("LLVMFuzzerMutate")
private func fuzzerMutate(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ room: Int) -> Int

/// Mostly by the file's structure; by libFuzzer's own, which knows the comparisons that inputs met, every eighth time.
@_cdecl("LLVMFuzzerCustomMutator")
public func fuzzerCustomMutator(
    _ bytes: UnsafeMutablePointer<UInt8>,
    _ count: Int,
    _ room: Int,
    _ seed: CUnsignedInt
) -> Int {
    if seed % 8 == 0 { return fuzzerMutate(bytes, count, room) }
    var mutator = Mutator(seed: UInt64(seed))
    let spoilt = reader.spoil(Array(UnsafeBufferPointer(start: bytes, count: count)), &mutator)
    guard spoilt.count <= room else { return count }
    UnsafeMutableBufferPointer(start: bytes, count: spoilt.count).update(fromContentsOf: spoilt)
    return spoilt.count
}
