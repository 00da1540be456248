import Foundation
import RecallKernels

/// NVRTC, CUDA's compiler as a library. It needs no device, so that kernels can be compiled on any machine.
public struct RuntimeCompiler: Sendable {
    typealias Program = OpaquePointer
    typealias Out<Value> = UnsafeMutablePointer<Value>
    typealias Texts = UnsafePointer<UnsafePointer<CChar>?>

    private let create:
        @convention(c) (
            Out<Program?>, UnsafePointer<CChar>, UnsafePointer<CChar>, Int32, Texts?, Texts?
        ) -> Int32
    private let destroy: @convention(c) (Out<Program?>) -> Int32
    private let compile: @convention(c) (Program?, Int32, Texts?) -> Int32
    private let logSize: @convention(c) (Program?, Out<Int>) -> Int32
    private let log: @convention(c) (Program?, Out<CChar>) -> Int32
    private let cubinSize: @convention(c) (Program?, Out<Int>) -> Int32
    private let cubin: @convention(c) (Program?, Out<CChar>) -> Int32
    private let assemblySize: @convention(c) (Program?, Out<Int>) -> Int32
    private let assembly: @convention(c) (Program?, Out<CChar>) -> Int32
    /// "13.0".
    public let version: String

    /// A compiler error in one of our own kernels, or an architecture that this compiler does not know.
    public struct CompilationFailure: Error, CustomStringConvertible {
        public let description: String
    }

    /// What a source was compiled to.
    public struct Compiled: Sendable {
        public let machineCode: [UInt8]
        /// PTX, which the machine code was made from.
        public let assembly: String
    }

    /// - Throws: `BackendError.unavailable` where there is no NVRTC.
    public init() throws {
        let library = try DynamicLibrary(
            anyOf: DynamicLibrary.candidates(
                ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"],
                folders: ["/usr/local/cuda/lib64"]
            ),
            purpose: "NVIDIA's run-time compiler; it comes with the CUDA toolkit and with the Python package"
                + " nvidia-cuda-nvrtc, whose folder RECALL_BENCH_CUDA_LIBRARIES may name"
        )
        Self.loadBuiltIns(beside: library.path)
        create = try library.function("nvrtcCreateProgram")
        destroy = try library.function("nvrtcDestroyProgram")
        compile = try library.function("nvrtcCompileProgram")
        logSize = try library.function("nvrtcGetProgramLogSize")
        log = try library.function("nvrtcGetProgramLog")
        cubinSize = try library.function("nvrtcGetCUBINSize")
        cubin = try library.function("nvrtcGetCUBIN")
        assemblySize = try library.function("nvrtcGetPTXSize")
        assembly = try library.function("nvrtcGetPTX")
        let versionOf: @convention(c) (Out<Int32>, Out<Int32>) -> Int32 = try library.function("nvrtcVersion")
        var (major, minor) = (Int32(0), Int32(0))
        _ = versionOf(&major, &minor)
        version = "\(major).\(minor)"
    }

    /// NVRTC looks for its built-in headers by name alone, which the linker does not find in a folder of their own.
    private static func loadBuiltIns(beside path: String) {
        guard path.contains("/") else { return }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for file in files where file.hasPrefix("libnvrtc-builtins.so") {
            _ = try? DynamicLibrary(anyOf: ["\(folder)/\(file)"], purpose: "")
        }
    }

    /// Compiles a source for an architecture.
    ///
    /// - Parameters:
    ///   - name: of the file, for messages.
    ///   - headers: what `#include "NAME"` finds.
    ///   - options: the compiler's.
    /// - Throws: `CompilationFailure` with the compiler's log.
    public func compile(
        _ source: String,
        name: String,
        headers: [(name: String, text: String)],
        options: [String]
    ) throws -> Compiled {
        var program: Program?
        let created = withTexts(headers.map(\.text)) { texts in
            withTexts(headers.map(\.name)) { names in
                create(&program, source, name, Int32(headers.count), texts, names)
            }
        }
        guard created == 0 else { throw CompilationFailure(description: "nvrtcCreateProgram: \(created)") }
        defer { _ = destroy(&program) }
        let status = withTexts(options) { compile(program, Int32(options.count), $0) }
        guard status == 0 else {
            let log = Self.text(read(program, logSize, log))
            throw CompilationFailure(description: "\(name) did not compile (\(status)):\n\(log)")
        }
        let code = read(program, cubinSize, cubin)
        guard !code.isEmpty else {
            throw CompilationFailure(description: "\(name): this NVRTC makes no machine code for \(options)")
        }
        return Compiled(machineCode: code, assembly: Self.text(read(program, assemblySize, assembly)))
    }

    /// One of a program's results; empty where it has none.
    private func read(
        _ program: Program?,
        _ size: (Program?, Out<Int>) -> Int32,
        _ copy: (Program?, Out<CChar>) -> Int32
    ) -> [UInt8] {
        var count = 0
        guard size(program, &count) == 0, count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        let status = bytes.withUnsafeMutableBytes {
            copy(program, $0.baseAddress!.assumingMemoryBound(to: CChar.self))
        }
        return status == 0 ? bytes : []
    }

    /// Of bytes that a zero ends.
    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.dropLast(), as: UTF8.self) }

    private func withTexts<Result>(_ texts: [String], _ body: (Texts?) -> Result) -> Result {
        let copies = texts.map { Array($0.utf8CString) }
        func next(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> Result {
            guard index < copies.count else {
                return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
            }
            return copies[index].withUnsafeBufferPointer { next(index + 1, pointers + [$0.baseAddress]) }
        }
        return next(0, [])
    }
}
