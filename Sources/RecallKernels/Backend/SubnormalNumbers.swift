import CFloatingPoint

/// Numbers below the least normal one, 2⁻¹²⁶ in Float32.
///
/// Where a gradient or a state decays over many tokens, or comes from few of them, products come out that small by the
/// million. To a model they are zero, but on many processors each takes over a hundred times as long as another number.
enum SubnormalNumbers {
    /// Runs `body` with this thread's operands and results of that size taken as zero, where the processor can.
    @inline(__always)
    static func asZero(_ body: () -> Void) {
        let mode = floatingPointMode()
        setFloatingPointMode(mode | subnormalsAsZero)
        body()
        setFloatingPointMode(mode)
    }
}
