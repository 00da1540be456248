/// erf x = 2/√π ∫₀ˣ e^(-t²) dt, within 1.5 units in the last place; ±1 from |x| = 4, NaN stays NaN.
///
/// Below 0.9, x + x P(x²); above, 1 - exp Q(|x|) with Q ≈ ln erfc. Both polynomials are weighted minimax fits whose own
/// errors (1.2e-8 and 1.7e-9, relative to erf) are far below Float32's rounding.
@inline(always)
func errorFunction(_ x: Vector) -> Vector {
    let magnitude = x.replacing(with: -x, where: x .< 0)
    let t = magnitude.replacing(with: 4, where: magnitude .> 4)

    let square = x * x
    var p = Vector(repeating: -6.090_360_7e-4)
    p = Vector(repeating: 5.011_963_2e-3).addingProduct(p, square)
    p = Vector(repeating: -2.677_890_8e-2).addingProduct(p, square)
    p = Vector(repeating: 1.128_214_1e-1).addingProduct(p, square)
    p = Vector(repeating: -3.761_252_5e-1).addingProduct(p, square)
    p = Vector(repeating: 1.283_791_5e-1).addingProduct(p, square)
    let near = x.addingProduct(x, p)

    var q = Vector(repeating: 1.982_198e-4)
    q = Vector(repeating: -3.065_491_8e-3).addingProduct(q, t)
    q = Vector(repeating: 2.231_521_9e-2).addingProduct(q, t)
    q = Vector(repeating: -1.041_136_9e-1).addingProduct(q, t)
    q = Vector(repeating: -6.369_760_6e-1).addingProduct(q, t)
    q = Vector(repeating: -1.127_797_2).addingProduct(q, t)
    q = Vector(repeating: -1.664_458_1e-4).addingProduct(q, t)
    let far = 1 - exponential(q)

    let signed = far.replacing(with: -far, where: x .< 0)
    return signed.replacing(with: near, where: magnitude .< 0.9)
}

/// Φ(x) = (1 + erf(x/√2)) / 2, the normal distribution function, to 1.25·2⁻²⁴: x Φ(x), the GELU, to 2·2⁻²⁴ |x|.
@inline(always)
func normalDistribution(_ x: Vector) -> Vector {
    Vector(repeating: 0.5).addingProduct(errorFunction(x * 0.707_106_78), Vector(repeating: 0.5))
}

/// φ(x) = e^(-x²/2) / √(2π), the normal density, to 0.75·2⁻²⁴.
@inline(always)
func normalDensity(_ x: Vector) -> Vector {
    exponential(x * x * -0.5) * 0.398_942_28
}
