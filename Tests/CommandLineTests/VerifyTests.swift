import Foundation
import Testing

@Suite struct VerifyTests {
    @Test func aTableAndItsSummary() throws {
        let outcome = try Workspace().run(
            "verify",
            "--only",
            "linearBackward rows 1 in 1 ",
            "--only",
            "FILLZERO"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors == "")
        let lines = outcome.outputLines
        #expect(
            lines.first?.split(separator: " ").joined(separator: " ")
                == "kernel shape error bound same bits verdict"
        )
        let rows = lines.filter { $0.hasSuffix("  ok") }
        #expect(rows.count == 9 && rows.count { $0.hasPrefix("fillZero") } == 8)
        #expect(
            rows.first?.hasPrefix("linearBackward") == true && rows.first?.contains("rows 1 in 1 out 1") == true
        )
        #expect(lines.last?.hasPrefix("9 cases passed on cpu: ") == true, "\(lines)")
    }

    @Test func modelsAreCases() throws {
        let outcome = try Workspace().run("verify", "--only", "model base-conv", "--threads", "2")
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(
            outcome.outputLines.contains { $0.hasPrefix("model base-conv") && $0.contains("kernel_size long") }
        )
    }

    @Test func patternsAndListsAreTaken() throws {
        let outcome = try Workspace().run("verify", "--only", "fill*, add n 15")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let rows = outcome.outputLines.filter { $0.hasSuffix("  ok") }
        #expect(rows.count { $0.hasPrefix("fillZero") } == 8)
        #expect(rows.count { $0.hasPrefix("add ") } == rows.count - 8 && rows.count > 8, "\(rows)")
        // A pattern is for the whole name.
        let whole = try Workspace().run("verify", "--only", "*ill?ero")
        #expect(whole.outputLines.last?.hasPrefix("8 cases passed") == true, "\(whole.output)")
    }

    @Test func jsonHasTheBenchmarksKeys() throws {
        let outcome = try Workspace().run(
            "verify",
            "--json",
            "--only",
            "scanForward B 3",
            "--only",
            "model attention"
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        let lines = try outcome.outputLines.map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(Set(lines.compactMap { $0["name"] as? String }) == ["scanForward", "model attention"])
        for line in lines {
            #expect(line["kind"] as? String == "verify" && line["precision"] as? String == "fp32")
            #expect((line["device"] as? String)?.hasPrefix("cpu: ") == true)
            #expect(line["threads"] as? Int == 1 && line["jobs"] as? Int == 1)
            #expect(line["passed"] as? Bool == true && line["same_bits"] as? Bool == true)
            #expect((line["problems"] as? [String])?.isEmpty == true)
            let (median, minimum) = (line["median_ms"] as? Double ?? -1, line["min_ms"] as? Double ?? -1)
            #expect(minimum > 0 && minimum <= median)
            let (error, bound) = (line["error"] as? Double ?? .nan, line["bound"] as? Double ?? .nan)
            #expect(error <= bound)
            let shape = try #require(line["shape"] as? [String: Any])
            #expect(shape["batch"] as? Int ?? 0 > 0 && shape["sequence_length"] as? Int ?? 0 > 0)
        }
        let scan = try #require(lines.first { $0["name"] as? String == "scanForward" })
        let outputs = try #require(scan["outputs"] as? [[String: Any]])
        #expect(outputs.map { $0["name"] as? String } == ["out", "checkpoints"])
    }

    /// A matrix product that is wrong in one number, put before the BLAS's own: every kernel that multiplies is found.
    @Test func aWrongProductFails() throws {
        let workspace = try Workspace()
        try workspace.write(
            """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            typedef void product(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                                 float *, int);
            void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                             const float *b, int ldb, float beta, float *c, int ldc) {
                ((product *)dlsym(RTLD_NEXT, "cblas_sgemm"))(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
                c[0] += 0.1f;
            }
            """,
            to: "wrong.c"
        )
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments = ["clang", "-shared", "-fPIC", "wrong.c", "-o", "wrong.so", "-ldl"]
        compiler.currentDirectoryURL = workspace.folder
        try compiler.run()
        compiler.waitUntilExit()
        try #require(compiler.terminationStatus == 0, "Swift on Linux comes with clang")
        let outcome = try workspace.run(
            more: ["verify", "--only", "linearForward rows 63", "--only", "add n 15"],
            environment: ["LD_PRELOAD": workspace.path("wrong.so")]
        )
        #expect(outcome.status == 1)
        #expect(outcome.errorLines.count == 1)
        #expect(
            outcome.errors.hasPrefix("recall-bench: 1 of 3 cases failed on cpu: "),
            "\(outcome.errors)"
        )
        #expect(outcome.outputLines.contains { $0.hasPrefix("linearForward") && $0.hasSuffix("FAILED") })
        #expect(outcome.outputLines.last?.hasPrefix("linearForward rows 63 in 64 out 65: y: off by ") == true)
        #expect(outcome.outputLines.last?.contains("most at index 0") == true, "\(outcome.output)")
    }

    @Test(arguments: [
        (["--device", "cuda:99"], 69, "--device cuda:99: "),
        (["--device", "tpu"], 64, "--device must be cpu, cuda or cuda:I, not 'tpu'"),
        (["--only", "frobnicate"], 64, "no case has 'frobnicate' in it; there are linearForward, "),
        (["--only", "add,scanFroward"], 64, "no case has 'scanFroward' in it; did you mean 'scanForward'?"),
        (["--only", "atention"], 64, "did you mean 'attention'?"),
        (["--only", "frob*"], 64, "no case matches 'frob*'; there are linearForward, "),
        (["--precision", "fp8"], 64, "--precision must be one of fp32, tf32, bf16, not 'fp8'"),
        (["--threads", "0"], 64, "--threads must be at least 1, not 0"),
    ]) func whatIsRefused(arguments: [String], status: Int32, words: String) throws {
        let outcome = try Workspace().run(more: ["verify"] + arguments)
        #expect(outcome.status == status)
        #expect(outcome.errorLines.count == 1 && outcome.errors.contains(words), "\(outcome.errors)")
        #expect(outcome.output == "")
    }
}
