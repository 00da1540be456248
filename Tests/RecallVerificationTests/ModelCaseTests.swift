import RecallKernels
import RecallModelVerification
import RecallModels
import RecallRandom
import RecallVerification
import Testing

@Suite struct ModelCaseTests {
    @Test(arguments: ModelCase.all) func theCPUGivesItsOwnBits(modelCase: ModelCase) throws {
        let verdict = try modelCase.verify(on: CPUBackend(threads: 2))
        #expect(verdict.problems == [])
        #expect(verdict.deviation == 0 && verdict.bound == 0 && verdict.hasSameBits)
    }

    @Test func everyMixerHasACase() {
        #expect(Set(ModelCase.all.map(\.mixer)) == Set(MixerRegistry.mixers.map(\.name)))
        #expect(Set(ModelCase.all.map(\.description)).count == ModelCase.all.count)
    }

    /// Devices that round what their projections and head read, to TensorFloat-32 and to bfloat16.
    @Test(arguments: ModelCase.all, [13, 16] as [UInt32]) func roundedProductsStayWithinTheBound(
        modelCase: ModelCase,
        droppedBits: UInt32
    ) throws {
        final class Rounded: ForwardingBackend {
            let one: UInt32
            init(droppedBits: UInt32) { one = 1 << droppedBits }
            override func addNormForward(
                _ shape: NormShape,
                residual: Floats,
                branch: Floats?,
                gain: Floats,
                bias: Floats?,
                sum: MutableFloats?,
                y: MutableFloats,
                statistics: MutableFloats
            ) {
                super.addNormForward(
                    shape,
                    residual: residual,
                    branch: branch,
                    gain: gain,
                    bias: bias,
                    sum: sum,
                    y: y,
                    statistics: statistics
                )
                for index in 0..<shape.rows * shape.width {
                    y[index] = Float(bitPattern: (y[index].bitPattern &+ one / 2) & ~(one - 1))
                }
            }
        }
        let verdict = try modelCase.verify(on: Rounded(droppedBits: droppedBits))
        #expect(verdict.problems == [])
        // With a margin for devices that round everything, and more than nothing: it did round.
        #expect(verdict.deviation > 0 && verdict.deviation < verdict.bound / 2)
    }

    /// A loss that is 2e-4 of itself too large is within the bound of the first steps; ten times that is not.
    @Test func anotherDeviceMayDeviateByItsBound() throws {
        final class Scaled: ForwardingBackend {
            let factor: Float
            init(_ factor: Float) { self.factor = factor }
            override func headLoss(
                _ shape: HeadShape,
                hidden: Floats,
                table: Floats,
                labels: Integers,
                gradientScale: Float,
                losses: MutableFloats,
                correct: MutableFloats,
                dHidden: MutableFloats?,
                dTable: MutableFloats?
            ) {
                super.headLoss(
                    shape,
                    hidden: hidden,
                    table: table,
                    labels: labels,
                    gradientScale: gradientScale,
                    losses: losses,
                    correct: correct,
                    dHidden: dHidden,
                    dTable: dTable
                )
                for row in 0..<shape.rows { losses[row] *= factor }
            }
        }
        let attention = try #require(ModelCase.all.first { $0.mixer == "attention" })
        let near = try attention.verify(on: Scaled(1.0002))
        #expect(near.problems == [])
        #expect(near.deviation > 1e-4 && near.deviation < 3e-4 && near.bound == 1e-3)
        let far = try attention.verify(on: Scaled(1.002))
        #expect(far.problems.count == 1 && far.problems[0].hasPrefix("the loss of step "), "\(far.problems)")
    }

    @Test func runsThatDifferAreNamed() throws {
        final class Restless: ForwardingBackend {
            private var calls = 0
            override func adamW(
                _ count: Int,
                _ step: AdamWStep,
                gradient: Floats,
                parameter: MutableFloats,
                firstMoment: MutableFloats,
                secondMoment: MutableFloats
            ) {
                super.adamW(
                    count,
                    step,
                    gradient: gradient,
                    parameter: parameter,
                    firstMoment: firstMoment,
                    secondMoment: secondMoment
                )
                calls += 1
                parameter[0] += Float(calls) * 1e-7
            }
        }
        let attention = try #require(ModelCase.all.first { $0.mixer == "attention" })
        let verdict = try attention.verify(on: Restless())
        #expect(!verdict.hasSameBits)
        #expect(
            verdict.problems.last?.hasPrefix("the same run twice gave different bits, first in ") == true,
            "\(verdict.problems)"
        )
    }

    @Test func trainingThatIsNotFiniteIsNamed() throws {
        final class Broken: ForwardingBackend {
            override func attentionForward(
                _ shape: AttentionShape,
                q: Floats,
                k: Floats,
                v: Floats,
                dropout: Dropout?,
                out: MutableFloats,
                logSumExp: MutableFloats
            ) {
                super.attentionForward(
                    shape,
                    q: q,
                    k: k,
                    v: v,
                    dropout: dropout,
                    out: out,
                    logSumExp: logSumExp
                )
                out[0] = .nan
            }
        }
        let attention = try #require(ModelCase.all.first { $0.mixer == "attention" })
        let verdict = try attention.verify(on: Broken())
        #expect(verdict.problems.first?.hasPrefix("not finite at step 1: ") == true, "\(verdict.problems)")
    }
}
