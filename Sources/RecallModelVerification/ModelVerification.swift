import Foundation
import RecallData
import RecallKernels
import RecallModels
import RecallTraining
import RecallVerification

extension ModelCase {
    /// Trains the model twice on a device and once on the CPU, from the same seed on the same batches, and compares the
    /// losses step by step.
    ///
    /// Two runs on the device must give the same bits, losses and parameters. The CPU itself must give the bits of its other
    /// run. Another device may be off by `bound(step:)`: differences in the last bits grow as the model trains.
    ///
    /// - Throws: `BackendError.outOfMemory`.
    public func verify(on backend: any Backend) throws -> ModelVerdict {
        let reference = try train(on: CPUBackend(threads: 1))
        let (first, second) = (try train(on: backend), try train(on: backend))
        let isCPU = backend is CPUBackend
        var worst = (deviation: 0.0, bound: isCPU ? 0 : Self.bound(step: 1), step: 1)
        var problems = [first.failure, second.failure == first.failure ? nil : second.failure].compactMap { $0 }
        func part(_ deviation: Double, _ bound: Double) -> Double {
            deviation == 0 ? 0 : deviation.isNaN ? .infinity : deviation / bound
        }
        for (index, (loss, expected)) in zip(first.losses, reference.losses).enumerated() {
            let deviation = loss == expected ? 0 : abs(loss - expected) / abs(expected)
            let bound = isCPU ? 0 : Self.bound(step: index + 1)
            if part(deviation, bound) > part(worst.deviation, worst.bound) {
                worst = (deviation, bound, index + 1)
            }
        }
        if !(worst.deviation <= worst.bound) {
            problems.append(
                "the loss of step \(worst.step) is \(first.losses[worst.step - 1]), on the CPU "
                    + "\(reference.losses[worst.step - 1]), off by more than \(worst.bound) of it"
            )
        }
        if let difference = first.difference(from: second) {
            problems.append("the same run twice gave different bits, first in \(difference)")
        }
        return ModelVerdict(
            modelCase: self,
            deviation: worst.deviation,
            bound: worst.bound,
            step: worst.step,
            hasSameBits: first.difference(from: second) == nil,
            problems: problems,
            secondsPerStep: [first, second].map(\.secondsPerStep)
        )
    }

    /// How far a step's loss may be from the CPU's, relatively: 1e-3 for the first five steps, then growing evenly in its
    /// logarithm to 1e-2 at the last.
    ///
    /// Devices that round all that projections and head read were seen to take a third of that with bfloat16 and a fifth
    /// with TensorFloat-32 in linear attention of ReLU features, a seventh and a fortieth at most in other models.
    static func bound(step: Int) -> Double {
        1e-3 * pow(10, Double(max(0, step - 5)) / Double(steps - 5))
    }

    private func train(on backend: any Backend) throws -> TrainedModel {
        let segment = Segment(
            sequenceLength: Self.length,
            kvPairs: Self.pairs,
            examples: Self.steps * Self.batch
        )
        let few = Segment(sequenceLength: Self.length, kvPairs: Self.pairs, examples: Self.batch)
        let trainer = try Trainer(
            task: MQARTask(vocabSize: Self.vocabulary, train: [segment], validation: [few], test: [few]),
            model: config,
            training: TrainingConfig(
                epochs: 1,
                batchSize: Self.batch,
                learningRate: 3e-3,
                schedule: .constant
            ),
            seed: 1,
            backend: backend
        )
        let losses = LossRecorder()
        var failure: String?
        let start = ContinuousClock.now
        do {
            _ = try trainer.run(checkpoint: nil, runID: "verify", specification: "{}", observer: losses)
        } catch let error as RunError {
            guard case .notFinite = error else { throw error }
            failure = "\(error)"
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1) / Double(max(losses.all.count, 1))
        let parameters = trainer.model.store.parameters.map { parameter in
            (
                parameter.name,
                trainer.model.store.read(parameter.value, count: parameter.count).map(\.bitPattern)
            )
        }
        return TrainedModel(
            losses: losses.all,
            parameters: parameters,
            failure: failure,
            secondsPerStep: seconds
        )
    }
}

/// What a run left.
private struct TrainedModel {
    let losses: [Double]
    let parameters: [(name: String, bits: [UInt32])]
    /// nil where it came to its end.
    let failure: String?
    let secondsPerStep: Double

    /// Where two runs' bits differ first; nil where they are the same.
    func difference(from other: TrainedModel) -> String? {
        let steps = max(losses.count, other.losses.count)
        for index in 0..<steps {
            guard index < losses.count, index < other.losses.count,
                losses[index].bitPattern == other.losses[index].bitPattern
            else { return "the loss of step \(index + 1)" }
        }
        return zip(parameters, other.parameters).first { $0.bits != $1.bits }.map { "parameter \($0.0.name)" }
    }
}

private final class LossRecorder: TrainingObserver {
    private(set) var all: [Double] = []

    func didStep(_ step: Int, of totalSteps: Int, loss: Double) { all.append(loss) }
    func didFinishEpoch(_ record: EpochRecord) {}
}
