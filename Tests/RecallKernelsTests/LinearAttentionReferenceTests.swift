import RecallKernels
import TestSupport
import Testing

@Suite struct LinearAttentionReferenceTests {
    @Test(arguments: FeatureMap.allCases)
    func gradientsMatchFiniteDifferences(map: FeatureMap) {
        let problem = LinearAttentionCase(map, length: 5, batch: 2, heads: 2, featureWidth: 3, valueWidth: 2)
        let shape = problem.shape
        // A step must not carry an input over the kink of relu or elu.
        let (q, k) = (doubles(problem.q), doubles(problem.k))
        let nearest = (q + k).map(abs).min() ?? 0
        #expect(nearest > 1e-4)
        let (v, dy) = (doubles(problem.v), doubles(problem.dy))
        func loss(_ q: [Double], _ k: [Double], _ v: [Double]) -> Double {
            dot(LinearAttentionReference.forward(shape, q: q, k: k, v: v).y, dy)
        }
        let (dq, dk, dv) = LinearAttentionReference.backward(shape, q: q, k: k, v: v, dy: dy)
        #expect(relativeError(dq, finiteDifferences(of: { loss($0, k, v) }, at: q)) < 1e-7)
        #expect(relativeError(dk, finiteDifferences(of: { loss(q, $0, v) }, at: k)) < 1e-7)
        #expect(relativeError(dv, finiteDifferences(of: { loss(q, k, $0) }, at: v)) < 1e-7)
    }

    @Test func taylorFeaturesGiveTheExpansionOfExp() {
        let (q, k) = (doubles(randomFloats(5, seed: 1)), doubles(randomFloats(5, seed: 2)))
        let features = LinearAttentionReference.keyFeatures(.taylor2, k)
        let s = dot(q, k) / 5.0.squareRoot()
        #expect(features.count == FeatureMap.taylor2.stateRows(featureWidth: 5))
        #expect(
            abs(dot(LinearAttentionReference.queryFeatures(.taylor2, q), features) - (1 + s + s * s / 2))
                < 1e-14
        )
        #expect(abs(1 + s + s * s / 2 - ((1 + s) * (1 + s) + 1) / 2) < 1e-14)
    }

    @Test func stateRowsAreThePackedCounts() {
        let counts = [8, 16, 24].map { FeatureMap.taylor2.stateRows(featureWidth: $0) }
        #expect(counts == [45, 153, 325])
        for map in FeatureMap.allCases {
            for width in [1, 3, 9, 20] {
                let key = LinearAttentionReference.keyFeatures(map, Array(repeating: 0.5, count: width))
                #expect(map.stateRows(featureWidth: width) == key.count)
            }
        }
    }

    @Test func uniformWeightsAverageTheValues() {
        // With k = 0 every Taylor weight is 1: y is the running mean.
        let shape = LinearAttentionShape(
            batch: 1,
            length: 4,
            heads: 1,
            featureWidth: 2,
            valueWidth: 1,
            map: .taylor2
        )
        let (y, normaliser) = LinearAttentionReference.forward(
            shape,
            q: Array(repeating: 1, count: 8),
            k: Array(repeating: 0, count: 8),
            v: [1, 3, 5, 7]
        )
        #expect(relativeError(y, [1, 2, 3, 4]) < 1e-11)
        #expect(relativeError(normaliser, [1, 2, 3, 4]) < 1e-11)
    }
}
