import RecallTraining
import Testing

struct ScheduleTests {
    private func rates(_ schedule: ScheduleKind, epochs: Int = 4) -> [Double] {
        let training = TrainingConfig(epochs: epochs, batchSize: 1, learningRate: 0.01, schedule: schedule)
        return (0..<epochs * 5).map {
            training.learningRate(epoch: $0 / 5, step: $0, totalSteps: epochs * 5)
        }
    }

    @Test func aConstantRateStays() {
        #expect(rates(.constant) == Array(repeating: 0.01, count: 20))
    }

    /// lr/2·(1 + cos(π·epoch/epochs)), the same in all steps of an epoch.
    @Test func theCosineOfTheEpoch() {
        let rates = rates(.cosineEpoch)
        #expect(rates[0] == 0.01)
        #expect(Set(rates).count == 4)
        #expect(rates[0] == rates[4] && rates[4] > rates[5])
        #expect(abs(rates[5] - 0.01 * (1 + 0.5.squareRoot()) / 2) < 1e-15)
        #expect(abs(rates[10] - 0.005) < 1e-15)
        #expect(abs(rates[19] - 0.01 * (1 - 0.5.squareRoot()) / 2) < 1e-15)
    }

    /// The same curve over steps: starts at the rate, is half of it in the middle, and nearly zero at the last step.
    @Test func theCosineOfTheStep() {
        let rates = rates(.cosineStep)
        #expect(rates[0] == 0.01)
        #expect(abs(rates[10] - 0.005) < 1e-15)
        #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 > $1 })
        #expect(rates[19] > 0 && rates[19] < 1e-4)
        // Symmetric about the middle.
        for step in 1..<10 { #expect(abs(rates[step] + rates[20 - step] - 0.01) < 1e-12) }
    }

    @Test func oneEpochHasTheFullRate() {
        #expect(rates(.cosineEpoch, epochs: 1) == Array(repeating: 0.01, count: 5))
    }
}
