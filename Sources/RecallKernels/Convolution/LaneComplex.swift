/// Sixteen complex numbers, one a channel. In memory 16 real parts, then 16 imaginary parts.
struct LaneComplex {
    var re: Vector
    var im: Vector

    @inline(__always)
    init(re: Vector, im: Vector) {
        self.re = re
        self.im = im
    }

    @inline(__always)
    static func load(_ address: Floats) -> LaneComplex {
        LaneComplex(re: .load(address), im: .load(address + 16))
    }

    @inline(__always)
    func store(_ address: MutableFloats) {
        re.store(address)
        im.store(address + 16)
    }

    @inline(__always)
    static func + (a: LaneComplex, b: LaneComplex) -> LaneComplex {
        LaneComplex(re: a.re + b.re, im: a.im + b.im)
    }

    @inline(__always)
    static func - (a: LaneComplex, b: LaneComplex) -> LaneComplex {
        LaneComplex(re: a.re - b.re, im: a.im - b.im)
    }

    @inline(__always)
    static func * (a: LaneComplex, b: LaneComplex) -> LaneComplex {
        LaneComplex(
            re: (a.re * b.re).addingProduct(a.im.negated, b.im),
            im: (a.re * b.im).addingProduct(a.im, b.re)
        )
    }

    @inline(__always)
    func times(_ real: Vector) -> LaneComplex { LaneComplex(re: real * re, im: real * im) }

    /// The real part of a product with the conjugate of `other`.
    @inline(__always)
    func realTimesConjugate(of other: LaneComplex) -> Vector { (re * other.re).addingProduct(im, other.im) }

    @inline(__always)
    var conjugate: LaneComplex { LaneComplex(re: re, im: im.negated) }

    @inline(__always)
    var timesI: LaneComplex { LaneComplex(re: im.negated, im: re) }
}

extension SIMD16<Float> {
    /// With the signs turned: the compiler makes this a part of an addition or product beside it, which it does not of
    /// the standard library's -x, a difference from zero.
    @inline(__always)
    fileprivate var negated: Self {
        unsafeBitCast(unsafeBitCast(self, to: SIMD16<UInt32>.self) ^ 0x8000_0000, to: Self.self)
    }
}

/// α, α² and α³ of a node of the transform, the same in every lane.
struct NodeTwiddles {
    let one, two, three: LaneComplex

    /// - Parameter table: the real and the imaginary part of each.
    @inline(__always)
    init(_ table: Floats) {
        one = LaneComplex(re: Vector(repeating: table[0]), im: Vector(repeating: table[1]))
        two = LaneComplex(re: Vector(repeating: table[2]), im: Vector(repeating: table[3]))
        three = LaneComplex(re: Vector(repeating: table[4]), im: Vector(repeating: table[5]))
    }
}

/// Four coefficients a quarter of a polynomial's length apart, or what they become: the residues modulo the factors
/// xᵐ - α, xᵐ - iα, xᵐ + α and xᵐ + iα of x⁴ᵐ - α⁴.
struct LaneQuartet {
    var p0, p1, p2, p3: LaneComplex

    @inline(__always)
    init(_ p0: LaneComplex, _ p1: LaneComplex, _ p2: LaneComplex, _ p3: LaneComplex) {
        (self.p0, self.p1, self.p2, self.p3) = (p0, p1, p2, p3)
    }

    /// - Parameter stride: elements from one to the next.
    @inline(__always)
    static func load(_ x: Floats, stride: Int = 32) -> LaneQuartet {
        LaneQuartet(.load(x), .load(x + stride), .load(x + 2 * stride), .load(x + 3 * stride))
    }

    @inline(__always)
    func store(_ x: MutableFloats, stride: Int = 32) {
        p0.store(x)
        p1.store(x + stride)
        p2.store(x + 2 * stride)
        p3.store(x + 3 * stride)
    }

    /// The residues of coefficients.
    @inline(__always)
    func forward(_ alpha: NodeTwiddles) -> LaneQuartet {
        let (b, c, d) = (p1 * alpha.one, p2 * alpha.two, p3 * alpha.three)
        let (even0, even1, odd0, odd1) = (p0 + c, p0 - c, b + d, (b - d).timesI)
        return LaneQuartet(even0 + odd0, even1 + odd1, even0 - odd0, even1 - odd1)
    }

    /// Four times the coefficients of residues.
    @inline(__always)
    func backward(_ alpha: NodeTwiddles) -> LaneQuartet {
        let (even0, even1, odd0, odd1) = (p0 + p2, p0 - p2, p1 + p3, (p1 - p3).timesI)
        return LaneQuartet(
            even0 + odd0,
            (even1 - odd1) * alpha.one.conjugate,
            (even0 - odd0) * alpha.two.conjugate,
            (even1 + odd1) * alpha.three.conjugate
        )
    }

    /// `forward` of four real numbers.
    @inline(__always)
    static func forward(
        _ p0: Vector,
        _ p1: Vector,
        _ p2: Vector,
        _ p3: Vector,
        _ alpha: NodeTwiddles
    ) -> LaneQuartet {
        let (real, b, c, d) = (
            LaneComplex(re: p0, im: .zero), alpha.one.times(p1), alpha.two.times(p2),
            alpha.three.times(p3)
        )
        let (even0, even1, odd0, odd1) = (real + c, real - c, b + d, (b - d).timesI)
        return LaneQuartet(even0 + odd0, even1 + odd1, even0 - odd0, even1 - odd1)
    }

    /// The real parts of `backward`.
    @inline(__always)
    func realBackward(_ alpha: NodeTwiddles) -> (Vector, Vector, Vector, Vector) {
        let (even0, even1, odd0, odd1) = (p0 + p2, p0 - p2, p1 + p3, (p1 - p3).timesI)
        return (
            even0.re + odd0.re, (even1 - odd1).realTimesConjugate(of: alpha.one),
            (even0 - odd0).realTimesConjugate(of: alpha.two),
            (even1 + odd1).realTimesConjugate(of: alpha.three)
        )
    }

    @inline(__always)
    static func * (a: LaneQuartet, b: LaneQuartet) -> LaneQuartet {
        LaneQuartet(a.p0 * b.p0, a.p1 * b.p1, a.p2 * b.p2, a.p3 * b.p3)
    }

    @inline(__always)
    static func + (a: LaneQuartet, b: LaneQuartet) -> LaneQuartet {
        LaneQuartet(a.p0 + b.p0, a.p1 + b.p1, a.p2 + b.p2, a.p3 + b.p3)
    }
}
