import Foundation

/// From which context on one model writes faster than another.
public enum Crossover: Equatable, Sendable {
    /// At every context that was measured, the shortest of which is this.
    case always(from: Int)
    /// From this many tokens on: where the speeds meet between two measured contexts.
    case from(Int)
    /// At no context up to the longest measured, this.
    case never(within: Int)

    /// What two models' speeds tell; nil for no context that both have.
    ///
    /// Between two contexts the speeds' ratio is taken as a power of the context.
    ///
    /// - Parameters:
    ///   - speeds: tokens a second by context.
    ///   - other: those of the model to compare with.
    public init?(_ speeds: [Int: Double], against other: [Int: Double]) {
        let contexts = speeds.keys.filter { other[$0] != nil }.sorted()
        guard let first = contexts.first, let last = contexts.last else { return nil }
        /// Above zero where the model is the faster.
        func advantage(_ context: Int) -> Double { log(speeds[context]! / other[context]!) }
        // The last context at which it is not yet faster.
        guard let slower = contexts.lastIndex(where: { advantage($0) <= 0 }) else {
            self = .always(from: first)
            return
        }
        guard slower + 1 < contexts.count else {
            self = .never(within: last)
            return
        }
        let (low, high) = (contexts[slower], contexts[slower + 1])
        let part = -advantage(low) / (advantage(high) - advantage(low))
        self = .from(Int((Double(low) * pow(Double(high) / Double(low), part)).rounded(.up)))
    }
}

extension Crossover: CustomStringConvertible {
    public var description: String {
        switch self {
        case .always(let context): "≤ \(context)"
        case .from(let context): "\(context)"
        case .never(let context): "never within \(context)"
        }
    }
}
