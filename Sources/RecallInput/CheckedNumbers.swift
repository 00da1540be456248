/// Arithmetic on numbers that this program has not made itself: of a suite, a table, a database, another program's file. The
/// plain operators end the process where a number is too large; these end at the largest or smallest that there is, which is
/// right for sizes that are compared with a limit and for numbers that are shown.
extension FixedWidthInteger {
    /// The product, or the bound of the type that it lies beyond.
    public func times(_ other: Self) -> Self {
        let (product, overflows) = multipliedReportingOverflow(by: other)
        return overflows ? ((self < 0) == (other < 0) ? .max : .min) : product
    }

    /// The sum, or the bound of the type that it lies beyond.
    public func plus(_ other: Self) -> Self {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? (other < 0 ? .min : .max) : sum
    }

    /// The difference, or the bound of the type that it lies beyond.
    public func minus(_ other: Self) -> Self {
        let (difference, overflows) = subtractingReportingOverflow(other)
        return overflows ? (other < 0 ? .max : .min) : difference
    }

    /// The nearest whole number, or the bound of the type that it lies beyond; 0 for NaN.
    public init(clamping number: Double) {
        if let exact = Self(exactly: number.rounded()) {
            self = exact
        } else {
            self = number.isNaN ? 0 : number < 0 ? .min : .max
        }
    }
}

extension Sequence where Element: FixedWidthInteger {
    /// The sum, or the bound of the type that it lies beyond.
    public func saturatingSum() -> Element { reduce(0) { $0.plus($1) } }

    /// The product, or the bound of the type that it lies beyond. 0 where a factor is 0, whatever the others are.
    public func saturatingProduct() -> Element { contains(0) ? 0 : reduce(1) { $0.times($1) } }
}
