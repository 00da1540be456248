extension CPUBackend: ConvolutionKernels {
    public func longConvolutionStep(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, past: Floats, position: Int,
        capacity: Int, y: MutableFloats
    ) {
        let channels = shape.channels
        workers.forEachBlock(shape.batch) { b, _ in
            let past = past + b * capacity * channels
            for group in 0..<ConvolutionLanes.groups(channels: channels) {
                let lanes = ConvolutionLanes(group: group, channels: channels)
                let current = lanes.load(u + b * channels)
                // Four sums, so that an addition need not wait for the one before it.
                var sum0 = current.addingProduct(current, lanes.load(filter))
                var (sum1, sum2, sum3) = (Vector.zero, Vector.zero, Vector.zero)
                @inline(__always) func term(_ sum: Vector, _ s: Int) -> Vector {
                    sum.addingProduct(
                        lanes.load(past + s * channels), lanes.load(filter + (position - s) * channels))
                }
                var s = 0
                while s + 4 <= position {
                    sum0 = term(sum0, s)
                    sum1 = term(sum1, s + 1)
                    sum2 = term(sum2, s + 2)
                    sum3 = term(sum3, s + 3)
                    s += 4
                }
                while s < position {
                    sum0 = term(sum0, s)
                    s += 1
                }
                let sum = (sum0 + sum1) + (sum2 + sum3)
                lanes.store(current.addingProduct(sum, lanes.load(gate + b * channels)), y + b * channels)
            }
        }
    }
}
