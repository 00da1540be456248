import RecallKernels
import Testing

@testable import RecallCUDA

/// How the gradients of linear layers' weights are cut, which needs no device.
@Suite struct WeightGradientTilingTests {
    @Test(arguments: [1024, 1027, 4099, 16_384, 65_536], [4, 40, 64, 128, 192, 384, 512])
    func sharesAreAllRowsAndTilesAllColumns(rows: Int, outputs: Int) throws {
        for inputs in [4, 64, 68, 128, 256] {
            let shape = LinearShape(rows: rows, inputs: inputs, outputs: outputs)
            let tiling = try #require(WeightGradientTiling(shape))
            let (blocks, tile) = (tiling.blocks, tiling.tile)
            #expect(blocks.shares * tiling.rows >= rows && (blocks.shares - 1) * tiling.rows < rows)
            #expect(blocks.outputs * tile.outputs >= outputs && (blocks.outputs - 1) * tile.outputs < outputs)
            #expect(blocks.inputs * tile.inputs >= inputs && (blocks.inputs - 1) * tile.inputs < inputs)
            // What a block of compute capability 8.0 may have.
            #expect(tiling.sharedBytes <= 163 << 10)
        }
    }

    /// At most one block a processor of 132, or two of small tiles, and nearly as many.
    @Test(arguments: [64, 128], [16_384, 65_536]) func usualShapesFillALargeCard(width: Int, rows: Int) throws {
        for outputs in [width, 3 * width] {
            let shape = LinearShape(rows: rows, inputs: width, outputs: outputs)
            let tiling = try #require(WeightGradientTiling(shape))
            let blocks = tiling.blocks.outputs * tiling.blocks.inputs * tiling.blocks.shares
            #expect((width == 128 ? 120...132 : 200...264).contains(blocks))
        }
    }

    @Test func fewRowsAndManyColumnsAndOddOnesAreNotTiled() {
        for shape in [
            LinearShape(rows: 1023, inputs: 64, outputs: 64), LinearShape(rows: 4096, inputs: 66, outputs: 64),
            LinearShape(rows: 4096, inputs: 64, outputs: 66),
            LinearShape(rows: 4096, inputs: 64, outputs: 64, inputStride: 66),
            LinearShape(rows: 4096, inputs: 1024, outputs: 1024),
        ] { #expect(WeightGradientTiling(shape) == nil, "\(shape)") }
    }
}
