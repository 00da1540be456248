/// What is done with spectra, four points at a time, where the forward transform ends and the backward one begins.
protocol SpectralWork {
    /// The arrays that are transformed in place, `spacing` elements apart.
    var x: MutableFloats { get }
    var spacing: Int { get }
    /// How many of them are transformed forward, and how many backward, from the first on.
    static var forwards: Int { get }
    static var backwards: Int { get }
    /// The last step of the forward transform, the work, and the first step of the backward one.
    ///
    /// - Parameter offset: where the points lie in each array.
    func leaf(_ offset: Int, _ alpha: NodeTwiddles)
}

extension SpectralWork {
    /// Of one array.
    var spacing: Int { 0 }
}

/// x becomes its spectrum.
struct ForwardWork: SpectralWork {
    let x: MutableFloats
    static var forwards: Int { 1 }
    static var backwards: Int { 0 }

    @inline(__always)
    func leaf(_ offset: Int, _ alpha: NodeTwiddles) {
        LaneQuartet.load(x + offset).forward(alpha).store(x + offset)
    }
}

/// x becomes what has it as its spectrum.
struct BackwardWork: SpectralWork {
    let x: MutableFloats
    static var forwards: Int { 0 }
    static var backwards: Int { 1 }

    @inline(__always)
    func leaf(_ offset: Int, _ alpha: NodeTwiddles) {
        LaneQuartet.load(x + offset).backward(alpha).store(x + offset)
    }
}

/// x ← f * x.
struct FilteringWork: SpectralWork {
    let x: MutableFloats
    /// f's.
    let spectrum: Floats
    static var forwards: Int { 1 }
    static var backwards: Int { 1 }

    @inline(__always)
    func leaf(_ offset: Int, _ alpha: NodeTwiddles) {
        let points = LaneQuartet.load(x + offset).forward(alpha)
        (points * .load(spectrum + offset)).backward(alpha).store(x + offset)
    }
}

/// x ← f * x, f being the second array.
struct ProductWork: SpectralWork {
    let x: MutableFloats
    let spacing: Int
    static var forwards: Int { 2 }
    static var backwards: Int { 1 }

    @inline(__always)
    func leaf(_ offset: Int, _ alpha: NodeTwiddles) {
        let points = LaneQuartet.load(x + offset).forward(alpha)
        let filter = LaneQuartet.load(x + spacing + offset).forward(alpha)
        (points * filter).backward(alpha).store(x + offset)
    }
}

/// Of the arrays u and v: products ← spectrum of u * v, or that and what is there; u ← f * u, v ← f * v.
struct GradientWork: SpectralWork {
    let x: MutableFloats
    let spacing: Int
    /// f's.
    let spectrum: Floats
    let products: MutableFloats
    let isAdding: Bool
    static var forwards: Int { 2 }
    static var backwards: Int { 2 }

    @inline(__always)
    func leaf(_ offset: Int, _ alpha: NodeTwiddles) {
        let (u, v) = (x + offset, x + spacing + offset)
        let uPoints = LaneQuartet.load(u).forward(alpha)
        let vPoints = LaneQuartet.load(v).forward(alpha)
        var product = uPoints * vPoints
        if isAdding { product = product + .load(products + offset) }
        product.store(products + offset)
        let filter = LaneQuartet.load(spectrum + offset)
        (uPoints * filter).backward(alpha).store(u)
        (vPoints * filter).backward(alpha).store(v)
    }
}

/// Of the arrays u, v and f: u ← f * u, v ← f * v, f ← u * v.
struct ThreeProductsWork: SpectralWork {
    let x: MutableFloats
    let spacing: Int
    static var forwards: Int { 3 }
    static var backwards: Int { 3 }

    @inline(__always)
    func leaf(_ offset: Int, _ alpha: NodeTwiddles) {
        let (u, v, f) = (x + offset, x + spacing + offset, x + 2 * spacing + offset)
        let filter = LaneQuartet.load(f).forward(alpha)
        let uPoints = LaneQuartet.load(u).forward(alpha)
        (uPoints * filter).backward(alpha).store(u)
        let vPoints = LaneQuartet.load(v).forward(alpha)
        (vPoints * filter).backward(alpha).store(v)
        (uPoints * vPoints).backward(alpha).store(f)
    }
}
