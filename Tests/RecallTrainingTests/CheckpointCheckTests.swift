import RecallTraining
import Testing

/// Which checkpoints a run goes on from.
@Suite struct CheckpointCheckTests {
    private static let origin = CheckpointOrigin(database: "d1", device: "cpu", build: "1.0 (abc)")

    private static func record(_ epoch: Int, seconds: Double? = nil) -> EpochRecord {
        EpochRecord(
            epoch: epoch,
            step: 10 * epoch,
            learningRate: 0.1,
            trainLoss: 1.0 / Double(epoch),
            validationLoss: 2,
            validationAccuracy: 0.5,
            seconds: seconds ?? Double(epoch)
        )
    }

    private func refusal(
        epoch: Int,
        notRecorded: [Int] = [],
        onRecord: [EpochRecord]?,
        origin: CheckpointOrigin? = Self.origin,
        here: CheckpointOrigin? = Self.origin,
        _ change: (inout CheckpointMetadata) -> Void = { _ in }
    ) -> String? {
        var metadata = CheckpointMetadata(
            runID: "run",
            specification: "{}",
            record: Self.record(epoch),
            trainSeconds: 1,
            epochsNotRecorded: notRecorded.map { Self.record($0) },
            origin: origin
        )
        change(&metadata)
        return CheckpointCheck(runID: "run", origin: here, history: onRecord, stepsPerEpoch: 10, epochs: 8)
            .refusal(of: metadata)
    }

    private static func records(_ count: Int) -> [EpochRecord] { (0..<count).map { record($0 + 1) } }

    /// The last epoch on record, or one more; with those that were not on record yet, more.
    @Test func theEpochFollowsTheRecord() {
        for recorded in 0...8 {
            for epoch in 1...8 {
                let refusal = refusal(epoch: epoch, onRecord: Self.records(recorded))
                #expect(
                    (refusal == nil) == (epoch == recorded || epoch == recorded + 1),
                    "\(recorded) \(epoch)"
                )
            }
        }
        #expect(refusal(epoch: 5, notRecorded: [3, 4], onRecord: Self.records(2)) == nil)
        #expect(refusal(epoch: 5, notRecorded: [3, 4], onRecord: Self.records(4)) == nil)
        #expect(refusal(epoch: 5, notRecorded: [4], onRecord: Self.records(2)) != nil)
        #expect(refusal(epoch: 3, notRecorded: [1, 2], onRecord: []) == nil)
        #expect(refusal(epoch: 5, onRecord: nil) == nil)
    }

    @Test func theLinesAreThoseOnRecord() {
        var other = Self.records(4)
        other[3].trainLoss += 1e-9
        #expect(refusal(epoch: 4, onRecord: other) == "its epoch 4 is not the one on record")
        #expect(refusal(epoch: 5, onRecord: other) == nil)
        #expect(refusal(epoch: 5, notRecorded: [4], onRecord: other) != nil)
    }

    @Test(arguments: [
        (-1, -10), (0, 0), (9, 90), (3, 29), (3, .max), (.max, .max), (.min, .min), (1, .min), (3, -30),
    ])
    func placesThatThePlanLacks(_ place: (epoch: Int, step: Int)) {
        for onRecord in [nil, [], Self.records(2)] {
            let refusal = refusal(epoch: 3, onRecord: onRecord) {
                ($0.record.epoch, $0.record.step) = place
            }
            #expect(refusal?.hasPrefix("it says epoch \(place.epoch) and step \(place.step)") == true)
        }
    }

    @Test(arguments: [[1], [2, 4], [4, 3], [.max, .min], [-1, 0, 1, 2, 3, 4], [3, 3, 4]])
    func earlierEpochsOutOfOrder(_ epochs: [Int]) {
        let refusal = refusal(epoch: 5, onRecord: Self.records(2)) { metadata in
            metadata.epochsNotRecorded = epochs.map { epoch in
                var record = Self.record(1)
                (record.epoch, record.step) = (epoch, epoch.multipliedReportingOverflow(by: 10).partialValue)
                return record
            }
        }
        #expect(refusal?.contains("not in order") == true, "\(refusal ?? "none")")
    }

    @Test func timesThatAreNone() {
        for seconds in [-1, -Double.infinity, .infinity, .nan] {
            #expect(refusal(epoch: 1, onRecord: []) { $0.trainSeconds = seconds } != nil)
        }
        #expect(refusal(epoch: 1, onRecord: []) { $0.record.seconds = -1 } != nil)
    }

    @Test func theOriginIsTheSame() {
        for (part, words) in [
            (\CheckpointOrigin.database, "another database"), (\.device, "another device"),
            (\.build, "another build"),
        ] {
            var other = Self.origin
            other[keyPath: part] = "other"
            #expect(refusal(epoch: 2, onRecord: Self.records(2), origin: other)?.contains(words) == true)
        }
        // Nobody asks.
        #expect(refusal(epoch: 2, onRecord: nil, here: nil) == nil)
        #expect(refusal(epoch: 2, onRecord: nil, origin: nil, here: nil) == nil)
        #expect(
            refusal(epoch: 2, onRecord: Self.records(2)) { $0.runID = "other" } == "it is of run other, not run"
        )
    }

    /// Without an origin only the very line on record shows that it is ours.
    @Test func whatHasNoOriginMustBeOnRecord() {
        #expect(refusal(epoch: 2, onRecord: Self.records(2), origin: nil) == nil)
        #expect(
            refusal(epoch: 3, onRecord: Self.records(2), origin: nil)?.contains("an earlier version") == true
        )
        #expect(refusal(epoch: 1, onRecord: [], origin: nil) != nil)
    }
}
