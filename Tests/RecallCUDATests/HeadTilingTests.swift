import RecallKernels
import Testing

@testable import RecallCUDA

/// How the head's passes are cut, which needs no device.
@Suite struct HeadTilingTests {
    private func blocks(_ rows: Int, of size: Int) -> Int { (rows + size - 1) / size }

    @Test(arguments: [1, 64, 65, 1024, 3000, 16_384, 200_000], [1, 7, 64, 129, 512, 8192])
    func sharesAreAllTilesAndNoneIsEmpty(rows: Int, vocabulary: Int) throws {
        for (width, capability) in [1, 32, 33, 64, 65, 128].flatMap({ [($0, 80), ($0, 90), ($0, 100)] }) {
            let tiling = try #require(
                HeadTiling(HeadShape(rows: rows, width: width, vocabulary: vocabulary), capability: capability)
            )
            #expect(tiling.isHopper == (capability == 90 && width > 32))
            let passing = tiling.isHopper ? 8192 / tiling.width : tiling.width == 128 ? 32 : 64
            #expect(tiling.width >= width)
            #expect(tiling.rows == blocks(rows, of: 128) * 128)
            #expect(tiling.vocabulary == blocks(vocabulary, of: 128) * 128)
            for (shares, count) in [(tiling.rowShares, vocabulary), (tiling.tableShares, rows)] {
                let tiles = blocks(count, of: passing)
                #expect(shares.count * shares.tiles >= tiles)
                #expect((shares.count - 1) * shares.tiles < tiles)
            }
        }
    }

    /// Two blocks a processor of 132, on Hopper one, nearly all of them.
    @Test(arguments: [64, 128], [1024, 16_384]) func usualShapesFillALargeCard(width: Int, rows: Int) throws {
        for (capability, each) in [(80, 2), (90, 1)] {
            let shape = HeadShape(rows: rows, width: width, vocabulary: 8192)
            let tiling = try #require(HeadTiling(shape, capability: capability))
            for grid in [tiling.rowGrid, tiling.tableGrid] {
                #expect((each * 120...each * 132).contains(grid.blocks.x * grid.blocks.y))
                #expect(each * grid.sharedBytes <= 227 << 10)
            }
        }
    }

    @Test(arguments: [80, 90]) func widerRowsAreNotTiled(capability: Int) {
        #expect(HeadTiling(HeadShape(rows: 64, width: 129, vocabulary: 64), capability: capability) == nil)
    }
}
