import Dispatch
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
                if !code.starts(with: [0x7F, 0x45, 0x4C, 0x46]) {
                    failures.withLock { $0.append("\(names[index]): no machine code") }
                }
            } catch { failures.withLock { $0.append("\(error)") } }
        }
        #expect(failures.withLock { $0 } == [])
    }

    @Test func aGroupIsCompiledAlone() throws {
        let compiler = try #require(installedCompiler)
        let group = try KernelSources.compile("softmax_attention@Step", compiler, capability: 80)
        let text = String(decoding: group.map { $0 < 128 ? $0 : 0x20 }, as: UTF8.self)
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
