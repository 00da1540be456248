import RecallKernels
import Testing

@testable import RecallCUDA

/// How the kernels over rows are cut into blocks, which needs no device.
@Suite struct RowTilingTests {
    private func constant(_ name: String, in module: String) throws -> Int? {
        let source = KernelSources.text(try #require(KernelSources.modules[module]))
        let line = source.split(separator: "\n").first { $0.hasPrefix("#define \(name) ") }
        return line?.split(separator: " ").last.flatMap { Int($0) }
    }

    @Test(arguments: [1, 3, 128, 129, 512, 8192, 8193, 50_000], [1, 15, 64, 128, 520, 1024])
    func everyRowOfTheTableHasItsBlock(vocabulary: Int, width: Int) throws {
        let (most, part) = (
            try constant("MOST_OWNED", in: "embedding_gradient"), try constant("PART", in: "embedding_gradient")
        )
        for tokens in [0, 1, 64, 65, 16_384] {
            let shape = EmbeddingShape(batch: 1, length: tokens, width: width, vocabulary: vocabulary)
            for isInQuads in [false, true] {
                let tiling = EmbeddingGradientTiling(shape, isInQuads: isInQuads)
                #expect(tiling.numbers == (isInQuads && width % 8 == 0 ? 8 : 1))
                #expect(tiling.owned <= most ?? 0)
                #expect(tiling.sortGrid.blocks.x * tiling.owned >= vocabulary)
                #expect((tiling.sortGrid.blocks.x - 1) * tiling.owned < vocabulary)
                #expect(tiling.parts == (tokens + (part ?? 1) - 1) / (part ?? 1))
                let rows = tiling.rowGrid
                #expect(rows.blocks.x * rows.threads.y >= tiling.parts + vocabulary)
                #expect((129...256).contains(rows.threads.x * rows.threads.y))
                #expect(tiling.longRowGrid.blocks.x == tiling.parts && tiling.positionGrid.blocks.x == tokens)
                #expect(tiling.positionGrid.blocks.y * rows.threads.x * tiling.numbers >= width)
                #expect(tiling.integers >= tokens + vocabulary + 1 && tiling.integers % 16 == 0)
                #expect(tiling.floats == tiling.integers + 2 * tiling.parts * width)
            }
        }
    }

    @Test func theKernelsKnowTheTilingsConstants() throws {
        #expect(try constant("SORT_WARPS", in: "embedding_gradient") == 32)
        #expect(try constant("SUM_THREADS", in: "embedding_gradient") == 256)
    }

    @Test(arguments: [1, 4, 31, 32, 33, 64, 65, 128, 132, 257, 512, 1000, 1024], [false, true])
    func rowsFitTheNormThatTakesThem(width: Int, isInQuads: Bool) throws {
        let layout = try #require(NormLayout(width: width, isInQuads: isInQuads))
        #expect(layout.held >= width && (layout.held == 32 || layout.held < 2 * width))
        #expect(layout.isInQuads == (isInQuads && width % 4 == 0))
        let source = KernelSources.text(try #require(KernelSources.modules["normalisation"]))
        #expect(
            source.contains("NORMALISATION(\(layout.suffix), \(layout.held), \(layout.isInQuads ? 4 : 1))\n")
        )
        for rows in [0, 1, 1000, 65_536] {
            let shape = NormShape(kind: .layer, rows: rows, width: width, epsilon: 1e-5)
            let backward = layout.backwardGrid(shape)
            #expect((1...264).contains(backward.blocks.x) && backward.sharedBytes <= 64 << 10)
            #expect((layout.forwardGrid(shape).blocks.x == 0) == (rows == 0))
        }
    }

    @Test func widerRowsAreABlocksEach() throws {
        let widest = try #require(NormLayout.instances.last)
        #expect(NormLayout(width: widest + 1, isInQuads: true) == nil)
        let source = KernelSources.text(try #require(KernelSources.modules["normalisation"]))
        for direction in ["Forward", "Backward"] { #expect(source.contains("addNorm\(direction)Wide(")) }
    }

    @Test(arguments: [1, 8, 9, 264, .max]) func partialSumsAreHalvedUntilOneIsLeft(parts: Int) {
        let threads = CUDABackend.partialsThreads(parts: parts)
        #expect(threads.slices.nonzeroBitCount == 1 && (256...1024).contains(threads.across * threads.slices))
        #expect(threads.across % 32 == 0)
    }

    /// struct PartialSums in partial_sums.cu.
    @Test func sumsAreLaidOutAsTheKernelReadsThem() throws {
        let source = KernelSources.text(try #require(KernelSources.modules["partial_sums"]))
        #expect(source.contains("#define MOST_SUMS \(PartialSums.most)\n"))
        let (from, to) = (Floats(bitPattern: 0x10)!, MutableFloats(bitPattern: 0x20)!)
        let sums = [33, 0, 64, 1].map {
            PartialSum(partials: from, output: to, stride: 98, count: $0, parts: 5)
        }
        let list = PartialSums(sums: sums, across: 32)
        #expect(list.blocks == 5)
        var arguments = KernelArguments()
        list.write(to: &arguments)
        #expect(arguments.starts == [0] && arguments.words.count == 5 * PartialSums.most)
        for (index, (count, first)) in zip([33, 0, 64, 1], [0, 2, 2, 4] as [UInt64]).enumerated() {
            let words = arguments.words[5 * index..<5 * index + 5]
            #expect(words == [0x10, 0x20, 98, UInt64(count), 5 | first << 32])
        }
        #expect(arguments.words[20...].allSatisfy { $0 == 0 })
    }
}
