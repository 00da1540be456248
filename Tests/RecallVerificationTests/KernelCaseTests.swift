import RecallKernels
import RecallVerification
import Testing

@Suite struct KernelCaseTests {
    @Test(arguments: KernelCase.all) func passesOnTheCPU(kernelCase: KernelCase) throws {
        let verdict = try kernelCase.verify(on: CPUBackend(threads: 2))
        #expect(verdict.problems == [])
        #expect(!verdict.outputs.isEmpty)
    }

    /// `--only` tells cases apart by what they are called.
    @Test func noTwoAreCalledTheSame() {
        var seen: Set<String> = []
        let twice = KernelCase.all.map(\.description).filter { !seen.insert($0).inserted }
        #expect(twice == [])
    }
}
