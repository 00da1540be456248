extension CPUBackend {
    /// y = (IFFT(FFT(u) · FFT(f)) + u) ⊙ gate + u.
    func fourierForward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, y: MutableFloats
    ) {
        let blocks = LongConvolutionBlocks(shape)
        let size = LaneFourierTransform.size(length: shape.length)
        let array = LaneFourierTransform.arrayFloats(size: size)
        let spectra = workers.sharedWorkspace(
            floats: blocks.groups * array + LaneFourierTransform.tableFloats(size: size))
        let transform = LaneFourierTransform(size: size, table: spectra + blocks.groups * array)
        filterSpectra(blocks, transform, filter: filter, spectra)
        workers.forEachBlock(blocks.count, floats: array) { block, worker in
            let x = workers.workspace(worker)
            let spectrum = spectra + blocks.group(block) * array
            for index in blocks.pairs(block) {
                let pair = blocks.pair(index, group: blocks.group(block))
                transform.forwardFirstPass(x, length: shape.length) { pair.load(u, $0) }
                for k in 0..<4 {
                    let part = x + k * array / 4
                    transform.forwardQuarter(part)
                    let filterPart = spectrum + k * array / 4
                    for i in stride(from: 0, to: array / 4, by: 32) {
                        (.load(part + i) * .load(filterPart + i)).store(part + i)
                    }
                    transform.backwardQuarter(part)
                }
                transform.backwardLastPass(x, length: shape.length) { t, c in
                    let ut = pair.load(u, t)
                    pair.store((c + ut).timesEach(pair.load(gate, t)) + ut, y, t)
                }
            }
        }
    }

    /// With dc = dy ⊙ gate: du = IFFT(FFT(dc) · conj FFT(f)) + dc + dy, dGate = dy ⊙ (f * u + u), and df the real part
    /// of IFFT(Σ_pairs FFT(dc) · conj FFT(u)): the products of one sequence with the other of its pair are imaginary.
    func fourierBackward(
        _ shape: LongConvolutionShape, u: Floats, filter: Floats, gate: Floats, dy: Floats, du: MutableFloats,
        dFilter: MutableFloats, dGate: MutableFloats
    ) {
        let blocks = LongConvolutionBlocks(shape)
        let (length, groups) = (shape.length, blocks.groups)
        let size = LaneFourierTransform.size(length: length)
        let array = LaneFourierTransform.arrayFloats(size: size)
        let spectra = workers.sharedWorkspace(
            floats: (groups + blocks.count) * array + LaneFourierTransform.tableFloats(size: size))
        let partials = spectra + groups * array
        let transform = LaneFourierTransform(size: size, table: partials + blocks.count * array)
        filterSpectra(blocks, transform, filter: filter, spectra)
        workers.forEachBlock(blocks.count, floats: 2 * array) { block, worker in
            let uPoints = workers.workspace(worker)
            let dcPoints = uPoints + array
            let spectrum = spectra + blocks.group(block) * array
            let partial = partials + block * array
            partial.update(repeating: 0, count: array)
            for index in blocks.pairs(block) {
                let pair = blocks.pair(index, group: blocks.group(block))
                transform.forwardFirstPass(uPoints, length: length) { pair.load(u, $0) }
                transform.forwardFirstPass(dcPoints, length: length) {
                    pair.load(dy, $0).timesEach(pair.load(gate, $0))
                }
                for k in 0..<4 {
                    let offset = k * array / 4
                    transform.forwardQuarter(uPoints + offset)
                    transform.forwardQuarter(dcPoints + offset)
                    for i in stride(from: offset, to: offset + array / 4, by: 32) {
                        let (uPoint, dcPoint) = (LaneComplex.load(uPoints + i), LaneComplex.load(dcPoints + i))
                        let filterPoint = LaneComplex.load(spectrum + i)
                        (.load(partial + i) + dcPoint * uPoint.conjugate).store(partial + i)
                        (uPoint * filterPoint).store(uPoints + i)
                        (dcPoint * filterPoint.conjugate).store(dcPoints + i)
                    }
                    transform.backwardQuarter(uPoints + offset)
                    transform.backwardQuarter(dcPoints + offset)
                }
                transform.backwardLastPass(uPoints, length: length) { t, c in
                    pair.store(pair.load(dy, t).timesEach(c + pair.load(u, t)), dGate, t)
                }
                transform.backwardLastPass(dcPoints, length: length) { t, correlation in
                    let dyt = pair.load(dy, t)
                    pair.store(correlation + dyt.timesEach(pair.load(gate, t)) + dyt, du, t)
                }
            }
        }
        workers.forEachBlock(groups) { group, _ in
            let lanes = blocks.lanes(group: group)
            let sum = partials + group * array
            for chunk in 1..<max(1, blocks.chunks) {
                let partial = partials + (chunk * groups + group) * array
                for i in 0..<array { sum[i] += partial[i] }
            }
            for k in 0..<4 { transform.backwardQuarter(sum + k * array / 4) }
            transform.backwardLastPass(sum, length: length) { t, point in
                lanes.store(point.re * (1 / Float(size)), dFilter + t * shape.channels)
            }
        }
    }

    /// FFT(f) / n of every group of channels, so that the backward transform of a product needs no scaling.
    private func filterSpectra(
        _ blocks: LongConvolutionBlocks, _ transform: LaneFourierTransform, filter: Floats,
        _ spectra: MutableFloats
    ) {
        let array = LaneFourierTransform.arrayFloats(size: transform.size)
        let scale = 1 / Float(transform.size)
        workers.forEachBlock(blocks.groups) { group, _ in
            let lanes = blocks.lanes(group: group)
            let spectrum = spectra + group * array
            transform.forwardFirstPass(spectrum, length: blocks.shape.length) { t in
                LaneComplex(re: lanes.load(filter + t * blocks.shape.channels) * scale, im: .zero)
            }
            for k in 0..<4 { transform.forwardQuarter(spectrum + k * array / 4) }
        }
    }
}
