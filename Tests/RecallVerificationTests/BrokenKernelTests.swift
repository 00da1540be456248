import RecallKernels
import RecallRandom
import RecallVerification
import Testing

/// Kernels that are wrong in one way each.
@Suite struct BrokenKernelTests {
    /// The problems of the first case of a kernel, and that another kernel's case still passes.
    private func problems(_ kernel: String, _ shape: String, on backend: any Backend) throws -> [String] {
        let broken = try #require(KernelCase.all.first { $0.kernel == kernel && $0.shape == shape })
        let sound = try #require(KernelCase.all.first { $0.kernel == "fillZero" && $0.shape == "n 33" })
        #expect(try sound.verify(on: backend).hasPassed)
        let verdict = try broken.verify(on: backend)
        #expect(verdict.hasPassed == verdict.problems.isEmpty)
        return verdict.problems
    }

    /// An element that keeps what it held.
    @Test func anElementNotWrittenIsNamed() throws {
        final class Broken: ForwardingBackend {
            override func geluForward(_ count: Int, x: Floats, y: MutableFloats) {
                let before = y[3]
                super.geluForward(count, x: x, y: y)
                y[3] = before
            }
        }
        #expect(
            try problems("geluForward", "n 17", on: Broken())
                == ["y: 1 of 17 numbers not written, the first at index 3"]
        )
    }

    @Test func rowsNotWrittenAreCounted() throws {
        final class Broken: ForwardingBackend {
            override func attentionBackward(
                _ shape: AttentionShape,
                q: Floats,
                k: Floats,
                v: Floats,
                dropout: Dropout?,
                out: Floats,
                logSumExp: Floats,
                dOut: Floats,
                dq: MutableFloats,
                dk: MutableFloats,
                dv: MutableFloats
            ) {
                var fewer = shape
                fewer.length -= 1
                super.attentionBackward(
                    fewer,
                    q: q,
                    k: k,
                    v: v,
                    dropout: dropout,
                    out: out,
                    logSumExp: logSumExp,
                    dOut: dOut,
                    dq: dq,
                    dk: dk,
                    dv: dv
                )
            }
        }
        let words = "40 of 2600 numbers not written, the first at index 2560 (row 64, column 0)"
        #expect(
            try problems("attentionBackward", "B 1 L 65 H 1 d 40", on: Broken()).filter {
                $0.hasSuffix(words)
            } == ["dq", "dk", "dv"].map { "\($0): \(words)" }
        )
    }

    /// A sum in another order each time.
    @Test func otherBitsTheSecondTimeAreNamed() throws {
        final class Broken: ForwardingBackend {
            private var calls = 0

            override func linearAttentionForward(
                _ shape: LinearAttentionShape,
                q: Floats,
                k: Floats,
                v: Floats,
                y: MutableFloats,
                normaliser: MutableFloats
            ) {
                super.linearAttentionForward(shape, q: q, k: k, v: v, y: y, normaliser: normaliser)
                calls += 1
                if calls == 2 { normaliser[5] = normaliser[5].nextUp }
            }
        }
        let problems = try problems(
            "linearAttentionForward",
            "B 1 L 31 H 1 f 20 e 16, taylor-2",
            on: Broken()
        )
        #expect(problems.count == 1)
        #expect(
            problems.first?.hasPrefix("not the same bits in a second call: normaliser at index 5, ") == true,
            "\(problems)"
        )
    }

    @Test func aNumberAThousandthOffIsNamed() throws {
        final class Broken: ForwardingBackend {
            override func scanForward(
                _ shape: ScanShape,
                x: Floats,
                delta: Floats,
                deltaBias: Floats,
                aLog: Floats,
                b: Floats,
                c: Floats,
                skip: Floats,
                z: Floats,
                out: MutableFloats,
                checkpoints: MutableFloats?
            ) {
                super.scanForward(
                    shape,
                    x: x,
                    delta: delta,
                    deltaBias: deltaBias,
                    aLog: aLog,
                    b: b,
                    c: c,
                    skip: skip,
                    z: z,
                    out: out,
                    checkpoints: checkpoints
                )
                let count = shape.batch * shape.length * shape.channels
                let largest = (0..<count).max { abs(out[$0]) < abs(out[$1]) } ?? 0
                out[largest] *= 1.001
            }
        }
        let problems = try problems("scanForward", "B 1 L 15 C 17 N 13", on: Broken())
        #expect(problems.count == 1)
        #expect(
            problems.first?.hasPrefix("out: off by 1.0e-3, bound 2.0e-6, most at index ") == true,
            "\(problems)"
        )
    }

    @Test func writingBesideTheOutputIsNamed() throws {
        final class Broken: ForwardingBackend {
            override func reluForward(_ count: Int, x: Floats, y: MutableFloats) {
                super.reluForward(count, x: x, y: y)
                y[count] = 0
            }
            override func shortConvolutionBackward(
                _ shape: ShortConvolutionShape,
                u: Floats,
                weight: Floats,
                bias: Floats,
                gate: Floats?,
                dy: Floats,
                du: MutableFloats,
                dWeight: MutableFloats,
                dBias: MutableFloats,
                dGate: MutableFloats?
            ) {
                super.shortConvolutionBackward(
                    shape,
                    u: u,
                    weight: weight,
                    bias: bias,
                    gate: gate,
                    dy: dy,
                    du: du,
                    dWeight: dWeight,
                    dBias: dBias,
                    dGate: dGate
                )
                du[shape.channels] = 0
                UnsafeMutablePointer(mutating: weight)[1] += 1
            }
        }
        #expect(
            try problems("reluForward", "n 15", on: Broken())
                == ["a number written that is no output, the first 1 behind the end of y"]
        )
        let convolution = "B 3 L 1 C 17 K 4, gate and skip, rows of u 22 apart"
        #expect(
            try problems("shortConvolutionBackward", convolution, on: Broken())
                == ["2 numbers written that are no output, the first weight at index 1"]
        )
    }

    /// NaN never passes, and what was read where nothing should be is told from a division by zero.
    @Test func nanIsNamed() throws {
        final class Broken: ForwardingBackend {
            override func add(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
                super.add(count, a: a, b: b, y: y)
                y[count - 1] = a[count - 1] + b[count]
            }
            override func multiply(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
                super.multiply(count, a: a, b: b, y: y)
                y[1] = .nan
            }
        }
        #expect(
            try problems("add", "n 15", on: Broken())
                == [
                    "y: 1 of 15 numbers are NaN, the first at index 14: what lies between or beyond the operands "
                        + "was read"
                ]
        )
        #expect(
            try problems("multiply", "n 15", on: Broken())
                == ["y: 1 of 15 numbers are NaN, the first at index 1"]
        )
    }

    /// Factors of bfloat16 are wrong in Float32, and right where they are said to be; coarser ones never are.
    @Test func roundedFactorsPassInTheirPrecisionOnly() throws {
        final class Rounded: ForwardingBackend {
            let droppedBits: UInt32
            init(droppedBits: UInt32) { self.droppedBits = droppedBits }
            override func linearForward(_ layers: [LinearLayerForward], x: Floats) {
                let one = UInt32(1) << droppedBits
                // The only case here: 65 rows, 33 inputs.
                var factors = (0..<65 * 33).map {
                    Float(bitPattern: (x[$0].bitPattern &+ one / 2) & ~(one - 1))
                }
                super.linearForward(layers, x: &factors)
            }
        }
        let linear = try #require(
            KernelCase.all.first { $0.kernel == "linearForward" && $0.shape == "rows 65 in 33 out 130" }
        )
        let bfloat = Rounded(droppedBits: 16)
        #expect(try linear.verify(on: bfloat, arithmetic: .bf16).problems == [])
        for (backend, arithmetic) in [(bfloat, Arithmetic.fp32), (Rounded(droppedBits: 22), .bf16)] {
            let problems = try linear.verify(on: backend, arithmetic: arithmetic).problems
            #expect(problems.count == 1 && problems.first?.hasPrefix("y: off by ") == true, "\(problems)")
        }
    }

    /// In a lower precision a bound is never below Float32's, and kernels without products keep theirs.
    @Test func boundsGrowWithTheRoundoffOfFactors() throws {
        func bounds(_ kernel: String, _ shape: String) throws -> [Double] {
            let one = try #require(KernelCase.all.first { $0.kernel == kernel && $0.shape == shape })
            return try Arithmetic.allCases.map {
                try #require(one.verify(on: CPUBackend(), arithmetic: $0).outputs.first).bound
            }
        }
        let linear = try bounds("linearForward", "rows 65 in 33 out 130")
        #expect(linear[0] == 1e-5)
        #expect(linear[1] >= 0x1p-9 && linear[1] < 0x1p-7)
        #expect(linear[2] >= 0x1p-6 && linear[2] < 0x1p-4)
        #expect(try bounds("geluForward", "n 17") == [1e-6, 1e-6, 1e-6])
    }
}
