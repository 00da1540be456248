#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension CPUBackend {
    public func rotary(
        _ shape: AttentionShape,
        x: MutableFloats,
        base: Float,
        firstPosition: Int,
        direction: Float
    ) {
        // Positions of a block: one exact angle a frequency for so many, the rest by angle addition in Float64.
        let positions = 16
        let half = shape.headWidth / 2
        let blocks = (shape.length + positions - 1) / positions
        workers.forEachBlock(blocks, floats: 2 * positions * half) { block, worker in
            let (first, count) = (block * positions, min(positions, shape.length - block * positions))
            let cosines = workers.workspace(worker)
            let sines = cosines + positions * half
            for i in 0..<half {
                let angle = pow(Double(base), -Double(i) / Double(half)) * (direction < 0 ? -1 : 1)
                let (stepCosine, stepSine) = (cos(angle), sin(angle))
                let start = Double(firstPosition + first) * angle
                var (cosine, sine) = (cos(start), sin(start))
                for position in 0..<count {
                    cosines[position * half + i] = Float(cosine)
                    sines[position * half + i] = Float(sine)
                    (cosine, sine) = (
                        cosine * stepCosine - sine * stepSine, sine * stepCosine + cosine * stepSine
                    )
                }
            }
            for batch in 0..<shape.batch {
                for position in 0..<count {
                    let row = x + (batch * shape.length + first + position) * shape.rowStride
                    for head in 0..<shape.heads {
                        rotate(
                            row + head * shape.headWidth,
                            half: half,
                            cosines + position * half,
                            sines + position * half
                        )
                    }
                }
            }
        }
    }
}

/// (x_i, x_{i+half}) ← (x_i cos - x_{i+half} sin, x_{i+half} cos + x_i sin).
@inline(__always)
private func rotate(_ x: MutableFloats, half: Int, _ cosines: Floats, _ sines: Floats) {
    let y = x + half
    var i = 0
    while i + 16 <= half {
        let (a, b) = (Vector.load(x + i), Vector.load(y + i))
        let (cosine, sine) = (Vector.load(cosines + i), Vector.load(sines + i))
        (a * cosine).addingProduct(-b, sine).store(x + i)
        (b * cosine).addingProduct(a, sine).store(y + i)
        i += 16
    }
    while i < half {
        let (a, b) = (x[i], y[i])
        x[i] = (a * cosines[i]).addingProduct(-b, sines[i])
        y[i] = (b * cosines[i]).addingProduct(a, sines[i])
        i += 1
    }
}
