import Dispatch
import Foundation
import Synchronization
import Testing

@testable import RecallCUDA

/// nil where there is none.
private let installedCompiler = try? RuntimeCompiler()

/// NVRTC needs no device, so that every kernel is compiled wherever it is: the Python package nvidia-cuda-nvrtc has it.
@Suite("Compilation with NVRTC", .enabled(if: installedCompiler != nil, "there is no NVRTC"))
struct CompilationTests {
    @Test(arguments: [80, 90]) func everyKernelCompiles(capability: Int) throws {
        let compiler = try #require(installedCompiler)
        let names = KernelSources.names(for: capability)
        let failures = Mutex<[String]>([])
        // The largest take a minute.
        DispatchQueue.concurrentPerform(iterations: names.count) { index in
            do {
                let code = try KernelSources.compile(names[index], compiler, capability: capability)
                // Machine code comes as an ELF file.
                if !code.machineCode.starts(with: [0x7F, 0x45, 0x4C, 0x46]) {
                    failures.withLock { $0.append("\(names[index]): no machine code") }
                }
                let hasty = capability < 90 ? [] : Self.kernelsThatDoNotWait(code.assembly)
                failures.withLock { $0 += hasty.map { "\(names[index]): \($0) does not wait" } }
            } catch { failures.withLock { $0.append("\(error)") } }
        }
        #expect(failures.withLock { $0 } == [])
    }

    /// A kernel is started while the one before still runs: before anything else, loads that the compiler might move included,
    /// it has to wait.
    private static func kernelsThatDoNotWait(_ assembly: String) -> [String] {
        let (entry, wait) = (".visible .entry ", "griddepcontrol.wait;")
        var result: [String] = []
        var waiting: String?
        for line in assembly.utf8.split(separator: UInt8(ascii: "\n")) {
            let line = String(Substring(line)).trimmingCharacters(in: .whitespaces)
            if line.hasPrefix(entry) {
                if let waiting { result.append(waiting) }
                waiting = String(line.dropFirst(entry.count).prefix { $0 != "(" })
            } else if line == wait {
                waiting = nil
            } else if let kernel = waiting, touchesMemory(line) {
                result.append(kernel)
                waiting = nil
            }
        }
        return result + (waiting.map { [$0] } ?? [])
    }

    /// Or leaves the straight way to what follows.
    private static func touchesMemory(_ instruction: String) -> Bool {
        !instruction.hasPrefix("ld.param")
            && ["ld", "st.", "cp.", "atom", "red.", "mbarrier", "@", "bra", "call", "ret"].contains {
                instruction.hasPrefix($0)
            }
    }

    @Test func kernelsThatDoNotWaitAreFound() throws {
        let compiler = try #require(installedCompiler)
        let source = """
            #include "common.cuh"
            extern "C" __global__ void waits(int* x) { awaitEarlierKernels(); *x += 1; }
            extern "C" __global__ void neverWaits(int* x) { *x = 1; }
            extern "C" __global__ void waitsLate(int* x) { int y = *x; awaitEarlierKernels(); *x = y + 1; }
            """
        let compiled = try compiler.compile(
            source,
            name: "waits.cu",
            headers: KernelSources.headers,
            options: KernelSources.options("waits", capability: 90)
        )
        #expect(Set(Self.kernelsThatDoNotWait(compiled.assembly)) == ["neverWaits", "waitsLate"])
    }

    @Test func aGroupIsCompiledAlone() throws {
        let compiler = try #require(installedCompiler)
        let group = try KernelSources.compile("softmax_attention@Step", compiler, capability: 80)
        let text = String(decoding: group.machineCode.map { $0 < 128 ? $0 : 0x20 }, as: UTF8.self)
        #expect(text.contains("attentionStep") && !text.contains("attentionForward64"))
    }

    @Test func errorsNameTheirPlace() throws {
        let compiler = try #require(installedCompiler)
        let error = #expect(throws: RuntimeCompiler.CompilationFailure.self) {
            try compiler.compile("__global__ void f() { nothing(); }", name: "f.cu", headers: [], options: [])
        }
        #expect(error?.description.contains("f.cu(1)") == true)
    }
}
