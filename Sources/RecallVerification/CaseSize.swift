/// One of the sizes of a case: the letter of the kernels' documentation, and the key in JSON.
public struct CaseSize: Equatable, Sendable {
    public let letter: String
    /// snake_case.
    public let key: String
    public let value: Int

    init(_ letter: String, _ key: String, _ value: Int) {
        (self.letter, self.key, self.value) = (letter, key, value)
    }

    static func count(_ n: Int) -> CaseSize { CaseSize("n", "count", n) }
    static func rows(_ n: Int) -> CaseSize { CaseSize("rows", "rows", n) }
    static func width(_ n: Int) -> CaseSize { CaseSize("D", "d_model", n) }
    static func inputs(_ n: Int) -> CaseSize { CaseSize("in", "inputs", n) }
    static func outputs(_ n: Int) -> CaseSize { CaseSize("out", "outputs", n) }
    static func batch(_ n: Int) -> CaseSize { CaseSize("B", "batch", n) }
    static func length(_ n: Int) -> CaseSize { CaseSize("L", "sequence_length", n) }
    static func heads(_ n: Int) -> CaseSize { CaseSize("H", "heads", n) }
    static func headWidth(_ n: Int) -> CaseSize { CaseSize("d", "d_head", n) }
    static func window(_ n: Int) -> CaseSize { CaseSize("W", "window", n) }
    static func features(_ n: Int) -> CaseSize { CaseSize("f", "feature_dim", n) }
    static func values(_ n: Int) -> CaseSize { CaseSize("e", "value_dim", n) }
    static func channels(_ n: Int) -> CaseSize { CaseSize("C", "channels", n) }
    static func states(_ n: Int) -> CaseSize { CaseSize("N", "state_size", n) }
    static func taps(_ n: Int) -> CaseSize { CaseSize("K", "kernel_size", n) }
    static func vocabulary(_ n: Int) -> CaseSize { CaseSize("V", "vocab_size", n) }
    static func pairs(_ n: Int) -> CaseSize { CaseSize("pairs", "kv_pairs", n) }
    static func cached(_ n: Int) -> CaseSize { CaseSize("cached", "cached", n) }
    static func position(_ n: Int) -> CaseSize { CaseSize("t", "position", n) }
    static func step(_ n: Int) -> CaseSize { CaseSize("step", "step", n) }
}
