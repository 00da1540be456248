// Examples of multi-query associative recall, the same bits as the CPU's: the rules and the order of draws are those of
// RecallExamples/ExampleMaker.swift, in whole numbers alone.
#include "common.cuh"

// RandomPurpose.data of RecallRandom/RandomStream.swift and SlotLaw.patience; a test holds them together.
#define DATA_PURPOSE 1u
#define PATIENCE 16

// A warp makes an example, alone in its block. All lanes draw the same numbers and know the same; they share out what looks
// through a list, and the first writes.

// An example's random words, a block of four for each lane at a time: RecallExamples/ExampleWords.swift.
struct Words {
    // (4 · WARP) in shared memory.
    uint32* words;
    uint32 key0, key1, example, stream;
    uint32 nextBlock;
    int used;
    uint32 high;
    bool hasHigh;

    __device__ __forceinline__ Words(uint32* words, uint64 seed, uint32 example, uint32 stream)
        : words(words), key0((uint32)seed), key1((uint32)(seed >> 32)), example(example), stream(stream),
          nextBlock(0), used(4 * WARP), high(0), hasHigh(false) {}

    __device__ __noinline__ void refill() {
        uint4 block = philox(make_uint4(nextBlock + threadIdx.x, example, stream, DATA_PURPOSE), key0, key1);
        __syncwarp();
        uint32* mine = words + 4 * threadIdx.x;
        mine[0] = block.x, mine[1] = block.y, mine[2] = block.z, mine[3] = block.w;
        __syncwarp();
        nextBlock += WARP;
        used = 0;
    }

    __device__ __forceinline__ uint32 next() {
        if (used == 4 * WARP) refill();
        return words[used++];
    }

    __device__ __forceinline__ uint64 next64() {
        uint64 low = next();
        return (uint64)next() << 32 | low;
    }

    __device__ __forceinline__ uint32 nextHalf() {
        hasHigh = !hasHigh;
        if (!hasHigh) return high;
        uint32 word = next();
        high = word >> 16;
        return word & 0xffffu;
    }

    // Uniform in 0 ..< bound, by Lemire's method: RecallRandom/RandomWords.swift.
    __device__ __forceinline__ uint32 below(uint32 bound) {
        uint64 product = (uint64)next() * bound;
        if ((uint32)product < bound) {
            uint32 threshold = (0u - bound) % bound;
            while ((uint32)product < threshold) product = (uint64)next() * bound;
        }
        return (uint32)(product >> 32);
    }

    __device__ __forceinline__ uint64 below64(uint64 bound) {
        uint64 x = next64();
        if (x * bound < bound) {
            uint64 threshold = (0ull - bound) % bound;
            while (x * bound < threshold) x = next64();
        }
        return __umul64hi(x, bound);
    }

    // The same with 16-bit halves, for a bound of at most 65536 and its threshold 65536 mod bound.
    __device__ __forceinline__ uint32 belowByHalves(uint32 bound, uint32 threshold) {
        while (true) {
            uint32 product = nextHalf() * bound;
            if ((product & 0xffffu) >= threshold) return product >> 16;
        }
    }
};

// The last place of a number in a list, -1 for none.
__device__ __forceinline__ int lastPlace(const int* list, int count, int number) {
    for (int end = count; end > 0; end -= WARP) {
        int i = end - 1 - (int)threadIdx.x;
        uint32 found = __ballot_sync(FULL, i >= 0 && list[i] == number);
        if (found) return end - __ffs(found);
    }
    return -1;
}

// Draws `pairs` distinct numbers of offset ..< offset + size by Fisher and Yates. The pool is not kept: an entry is what was
// last moved to it, or else its own place. picks, moved: (pairs), where and what.
__device__ void choose(int size, int offset, int pairs, Words& words, int* picks, int* moved, int* chosen) {
    for (int pair = 0; pair < pairs; ++pair) {
        int last = size - pair - 1;
        int pick = (int)words.below((uint32)(last + 1));
        int movedToPick = lastPlace(picks, pair, pick), movedToLast = lastPlace(picks, pair, last);
        if (threadIdx.x == 0) {
            chosen[pair] = (movedToPick < 0 ? pick : moved[movedToPick]) + offset;
            moved[pair] = movedToLast < 0 ? last : moved[movedToLast];
            picks[pair] = pick;
        }
        __syncwarp();
    }
}

// The power law of the query slots: RecallExamples/SlotLaw.swift.
struct SlotLaw {
    // (count), the sums of the weights up to each slot's.
    const uint64* cumulative;
    int count;
    // (count): the key that asks in each slot, -1 for none.
    const int* keyOfSlot;

    // The first slot whose sum exceeds the target.
    __device__ __forceinline__ int first(uint64 target) const {
        int base = 0;
        for (int left = count; left > 1;) {
            int half = left >> 1;
            if (cumulative[base + half - 1] <= target) base += half;
            left -= half;
        }
        return base;
    }

    // A slot's weight, 0 where it is taken or there is none.
    __device__ __forceinline__ uint64 weightLeft(int slot) const {
        if (slot >= count || keyOfSlot[slot] >= 0) return 0;
        return cumulative[slot] - (slot == 0 ? 0 : cumulative[slot - 1]);
    }

    // The sum of a number up to each lane's.
    __device__ __forceinline__ static uint64 sumUpTo(uint64 x) {
#pragma unroll
        for (int offset = 1; offset < WARP; offset <<= 1) {
            uint64 other = __shfl_up_sync(FULL, x, offset);
            if (threadIdx.x >= offset) x += other;
        }
        return x;
    }

    // Draws a slot of those that are left.
    __device__ int drawLeft(Words& words) const {
        uint64 left = 0;
        for (int start = 0; start < count; start += WARP) left += weightLeft(start + threadIdx.x);
        left = __shfl_sync(FULL, sumUpTo(left), WARP - 1);
        uint64 target = words.below64(left);
        for (int start = 0; start < count; start += WARP) {
            uint64 sum = sumUpTo(weightLeft(start + threadIdx.x));
            uint32 exceeding = __ballot_sync(FULL, sum > target);
            if (exceeding) return start + __ffs(exceeding) - 1;
            target -= __shfl_sync(FULL, sum, WARP - 1);
        }
        // Every slot was taken.
        __trap();
        return 0;
    }

    // Draws a slot that is not taken.
    __device__ int draw(Words& words) const {
        for (int attempt = 0; attempt < PATIENCE; ++attempt) {
            int slot = first(words.below64(cumulative[count - 1]));
            if (keyOfSlot[slot] < 0) return slot;
        }
        return drawLeft(words);
    }
};

// What may stand where neither context nor query does.
struct Fillers {
    int vocabulary, pairs;
    bool random, disjoint;
    // (pairs)
    const int* keys;
    // 65536 mod V.
    uint32 threshold;

    __device__ __forceinline__ int draw(Words& words) const {
        if (!random) return 0;
        while (true) {
            int token = (int)(vocabulary <= 65536 ? words.belowByHalves((uint32)vocabulary, threshold)
                                                  : words.below((uint32)vocabulary));
            if (!disjoint || token >= vocabulary / 2 || lastPlace(keys, pairs, token) < 0) return token;
        }
    }
};

// Example first + blockIdx.x: tokens (L), positions (n) and labels (n) of the rows of as many examples as there are blocks.
// Shared memory for 4 · WARP + 4n + slots words.
extern "C" __global__ void __launch_bounds__(WARP) makeExamples(
    uint64 seed, uint32 stream, int vocabulary, int length, int pairs, bool random, bool disjoint,
    const uint64* __restrict__ cumulative, long long first, int* tokens, int* positions, int* labels) {
    awaitEarlierKernels();
    extern __shared__ int scratch[];
    int slots = length / 2 - pairs, lane = threadIdx.x;
    int *keys = scratch + 4 * WARP, *values = keys + pairs, *picks = values + pairs, *moved = picks + pairs;
    int* keyOfSlot = moved + pairs;
    tokens += (long long)blockIdx.x * length;
    positions += (long long)blockIdx.x * pairs;
    labels += (long long)blockIdx.x * pairs;
    Words words((uint32*)scratch, seed, (uint32)(first + blockIdx.x), stream);

    choose(vocabulary / 2 - 1, 1, pairs, words, picks, moved, keys);
    choose(vocabulary / 2, vocabulary / 2, pairs, words, picks, moved, values);
    for (int pair = lane; pair < pairs; pair += WARP) {
        tokens[2 * pair] = keys[pair];
        tokens[2 * pair + 1] = values[pair];
    }

    for (int slot = lane; slot < slots; slot += WARP) keyOfSlot[slot] = -1;
    __syncwarp();
    SlotLaw law = {cumulative, slots, keyOfSlot};
    for (int pair = 0; pair < pairs; ++pair) {
        int slot = law.draw(words);
        __syncwarp();
        if (lane == 0) keyOfSlot[slot] = pair;
        __syncwarp();
    }

    Fillers fillers = {vocabulary, pairs, random, disjoint, keys, 65536u % (uint32)vocabulary};
    int label = 0;
    for (int slot = 0; slot < slots; ++slot) {
        int position = 2 * (pairs + slot), key = keyOfSlot[slot];
        int token = key < 0 ? fillers.draw(words) : keys[key];
        int after = fillers.draw(words);
        if (lane == 0) {
            tokens[position] = token;
            tokens[position + 1] = after;
            if (key >= 0) {
                positions[label] = position;
                labels[label] = values[key];
            }
        }
        label += key >= 0;
    }
}
