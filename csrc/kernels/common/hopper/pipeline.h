// The pipeline that all Hopper kernels share: one thread fetches, warpgroups multiply, and neither waits for
// the other unless it has to.
//
// The tensor cores take 1024 cycles for a step of 128 x 256 x 64 products, and a copy from the L2 cache takes
// about as long to arrive. So copies have to be asked for well ahead, by someone who does nothing else, and
// the multipliers must not spend instructions on addresses. A block is 1 + kConsumers warpgroups of 128
// threads, one block for each multiprocessor, and lives as long as the kernel:
//
//   producer     warpgroup 0, of which thread 0 alone works: it asks the copy engine (TMA) for the next
//                step's operands; the warpgroup gives most of its registers away
//   consumers    the others: each issues wgmma for its own part of the tile, and keeps the sums in registers
//
// Shared memory: a ring of kStages stages, what a kernel keeps besides (staging for results), and two
// barriers for each stage.
//
//   +---------+---------+---------+---------+---------------------+---------------------------+
//   | stage 0 | stage 1 | stage 2 |   ...   | Problem::Shared     | full[kStages]             |
//   |  A   B  |  A   B  |  A   B  |         | (tiles on their way | empty[kStages]            |
//   |         |         |         |         |  to memory ...)     |                           |
//   +---------+---------+---------+---------+---------------------+---------------------------+
//
//   full[s]    ends a phase when the producer has announced the stage's bytes and the copies brought them
//   empty[s]   ends a phase when every warp of every consumer has finished reading the stage
//
// Who waits for whom, with three stages and tiles of four steps; 0' is the next tile's first step:
//
//   producer    asks for 0, 1, 2  | empty[0]? 3 | empty[1]? 0' | empty[2]? 1' | empty[0]? 2'
//   copies      0 0 0 0
//                 1 1 1 1             3 3 3 3       0' 0' 0' 0'    1' 1' 1' 1'    2' 2' 2' 2'
//                   2 2 2 2
//   consumers           full[0]?   full[1]?    full[2]?    full[0]?
//                       issue 0    issue 1     issue 2     issue 3    3 done      results    full[1]?
//                                  0 done:     1 done:     2 done:    empty[0]    go to      issue 0'
//                                  empty[0]    empty[1]    empty[2]               memory
//
// A consumer always has one group of wgmma in flight: step k is issued before step k - 1 is known to be done,
// and only then is the stage of k - 1 given back. It is given back by each warp for itself (lane 0 arrives):
// a warp knows that its own wgmmas have read the stage, and nothing of the other three. While the last step is
// under way, the consumer works out the place of its next tile.
//
// The parity of a wait. A barrier's phases are numbered 0, 1, 2, ... and mbarrier_wait(b, p) returns when the
// last phase of parity p has ended. The consumers' u-th use of a stage waits for phase u of full; the
// producer's for phase u - 1 of empty, and "phase -1" counts as ended. So both carry (stage, parity), and
// parity turns when stage wraps.
//
// Tiles. In every round the blocks take the next tiles, one each: tiles that run at the same time are
// neighbours and find each other's operands in the L2 cache. Every other round goes backwards, so that when
// long tiles come first, the block with the longest of one round has the shortest of the next. All roles
// compute the same list of tiles, and nothing is communicated.
//
// With `static constexpr bool kInTurns = true` consumers do not share a tile but take tiles in turns, the
// first consumer those of rounds 0, 2, 4, ... of two: while one writes its results, the other multiplies. A
// stage is then read, and given back, by one of them alone:
//
//   consumer 0   wait full, M0 M1, turn[1], e e e, .......... turn[0]? wait full, M0 M1, turn[1], e e e
//   consumer 1   ................. turn[1]? wait full, M0 M1, turn[0], e e e, ...
//
// turn[c] tells consumer c that all threads of the one before it have seen all copies of its tile. Without
// that c might ask for a phase of full two uses ahead, and parity cannot tell those from what has ended.
//
// A kernel is a class Problem, made once by every thread from the arguments:
//
//   static constexpr int kStages, kConsumers       1 to 4 consumers
//   static constexpr int kSums, kTiles             a consumer thread's sums: float[kTiles][kSums], that is
//                                                  kTiles tiles of 64 x (2 * kSums)
//   struct Arguments                               trivially copyable; holds the tensor maps
//   struct Stage, struct Shared                    what lies in shared memory; types whose alignment says so
//   struct Tile                                    what a role remembers of its tile; may hold a walk
//   static constexpr int kBytes                    that the copies of one step bring to a stage; or, where
//                                                  boxes depend on the shape, int bytes()
//
//   explicit Problem(const Arguments&)
//   void prepare(stages, shared)                   all threads of the block, once, before anything else
//   int tiles()
//   Tile tile(int index)
//   int steps(const Tile&)                         at least 1
//   void load(Tile&, int step, Stage&, Mbarrier&)  the producer's thread: the copies of a step. Steps come in
//                                                  order, so that a walk in Tile can replace divisions
//   void begin(const Tile&, int consumer, shared)  a consumer's 128 threads, before the tile's first step
//   void look(const Stage&, int consumer)          a consumer's 128 threads, before each multiply(): reads
//                                                  the stage for other ends, while the matrix units do the
//                                                  step before; if it does, it ends with __syncwarp()
//   void multiply(const Stage&, int consumer, float (&sums)[kTiles][kSums], bool first)
//                                                  issues the wgmmas of a step, no more; `first`: sums hold
//                                                  nothing yet. If it reads the stage in other ways (A in
//                                                  registers), it ends with __syncwarp()
//   void finish(const Tile&, int consumer, sums, shared)   the epilogue
//
// Problem can derive from PipelineProblem, which does nothing in prepare, begin and look.
#pragma once

#include <utility>

#include "simt/hopper.h"

namespace alexnet {

constexpr int kWarpgroup = 128;

// What a block can have on compute capability 9.0.
constexpr std::size_t kMostSharedBytes = 227 * 1024;

struct PipelineProblem {
  static constexpr bool kInTurns = false;
  template <class Stages, class Shared>
  __device__ __forceinline__ void prepare(Stages&, Shared&) const {}
  template <class Tile, class Shared>
  __device__ __forceinline__ void begin(const Tile&, int, Shared&) const {}
  template <class Stage>
  __device__ __forceinline__ void look(const Stage&, int) const {}
};

template <class Problem>
struct PipelineShared {
  typename Problem::Stage stages[Problem::kStages];
  typename Problem::Shared own;
  simt::Mbarrier full[Problem::kStages];
  simt::Mbarrier empty[Problem::kStages];
  simt::Mbarrier turn[Problem::kConsumers];  // in use with kInTurns
};

// A place in the ring, and the parity of its present use.
template <int kStages>
struct RingPlace {
  int stage = 0;
  std::uint32_t parity = 0;

  __device__ __forceinline__ void advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

// Registers of a thread from here on. A kernel starts with an equal share for all, 65536 / threads: 168 with
// two consumers, 128 with three, 96 with four. With one, all have 255, which is enough for anyone. The sums
// of one wgmma have to fit the first share (ptxas refuses others), all sums of a thread the second: with
// three consumers n is at most 208, but two tiles of n = 128 are possible.
template <int kConsumers>
struct RoleRegisters;
template <>
struct RoleRegisters<2> {
  static constexpr int kProducer = 40, kConsumer = 232;
};
template <>
struct RoleRegisters<3> {
  static constexpr int kProducer = 32, kConsumer = 160;
};
template <>
struct RoleRegisters<4> {
  static constexpr int kProducer = 24, kConsumer = 112;
};

template <class Problem>
__device__ __forceinline__ int bytes_of_step(const Problem& problem) {
  if constexpr (requires { problem.bytes(); }) {
    return problem.bytes();
  } else {
    return Problem::kBytes;
  }
}

// The tile of this block in a round; past the number of tiles in its last round, if it has none there.
__device__ __forceinline__ int tile_of_round(int round) {
  const int place = round % 2 == 0 ? blockIdx.x : gridDim.x - 1 - blockIdx.x;
  return round * static_cast<int>(gridDim.x) + place;
}

// One thread fills stage after stage, through all tiles of the block.
template <class Problem>
__device__ __forceinline__ void produce(Problem& problem, PipelineShared<Problem>& shared) {
  RingPlace<Problem::kStages> place;
  const int tiles = problem.tiles();
  for (int round = 0; tile_of_round(round) < tiles; ++round) {
    auto tile = problem.tile(tile_of_round(round));
    const int steps = problem.steps(tile);
    for (int step = 0; step < steps; ++step) {
      simt::mbarrier_wait(shared.empty[place.stage], place.parity ^ 1);
      simt::mbarrier_arrive_expect_tx(shared.full[place.stage], bytes_of_step(problem));
      problem.load(tile, step, shared.stages[place.stage], shared.full[place.stage]);
      place.advance();
    }
  }
}

template <class Problem, int... kTile>
__device__ __forceinline__ void wait_for_sums(float (&sums)[Problem::kTiles][Problem::kSums],
                                              std::integer_sequence<int, kTile...>) {
  simt::wgmma_wait<0>(sums[kTile]...);
}

// The steps of one tile, by a consumer. meanwhile() is called while the last of them are under way.
template <class Problem, class Meanwhile>
__device__ __forceinline__ void multiply_tile(Problem& problem, PipelineShared<Problem>& shared, int steps,
                                              int consumer, RingPlace<Problem::kStages>& place,
                                              float (&sums)[Problem::kTiles][Problem::kSums],
                                              const Meanwhile& meanwhile) {
  const bool speaks_for_warp = threadIdx.x % 32 == 0;
  int previous = place.stage;
  for (int step = 0; step < steps; ++step) {
    simt::mbarrier_wait(shared.full[place.stage], place.parity);
    problem.look(shared.stages[place.stage], consumer);
    simt::wgmma_fence();
    problem.multiply(shared.stages[place.stage], consumer, sums, step == 0);
    simt::wgmma_commit();
    simt::wgmma_wait<1>();
    if (step > 0 && speaks_for_warp) simt::mbarrier_arrive(shared.empty[previous]);
    previous = place.stage;
    place.advance();
  }
  if (Problem::kInTurns) simt::mbarrier_arrive(shared.turn[(consumer + 1) % Problem::kConsumers]);
  meanwhile();
  wait_for_sums<Problem>(sums, std::make_integer_sequence<int, Problem::kTiles>());
  if (speaks_for_warp) simt::mbarrier_arrive(shared.empty[previous]);
}

template <class Problem>
__device__ __forceinline__ void consume(Problem& problem, PipelineShared<Problem>& shared, int consumer) {
  // A tile's place takes divisions, some hundred clocks: while the last products are under way, where
  // registers are left beside the sums.
  constexpr bool kLooksAhead = Problem::kConsumers < 3 || Problem::kTiles * Problem::kSums < 128;
  RingPlace<Problem::kStages> place;
  float sums[Problem::kTiles][Problem::kSums];
  const int tiles = problem.tiles();
  if (tile_of_round(0) >= tiles) return;
  std::uint32_t turn_parity = consumer == 0;  // the first consumer begins, as if it had been told to
  auto next = problem.tile(tile_of_round(0));
  for (int round = 0; tile_of_round(round) < tiles; ++round) {
    const auto tile = kLooksAhead ? next : problem.tile(tile_of_round(round));
    const int steps = problem.steps(tile);
    const auto look_ahead = [&] {
      if (kLooksAhead && tile_of_round(round + 1) < tiles) next = problem.tile(tile_of_round(round + 1));
    };
    if (Problem::kInTurns && round % Problem::kConsumers != consumer) {
      for (int step = 0; step < steps; ++step) place.advance();
      look_ahead();
      continue;
    }
    if (Problem::kInTurns) {
      simt::mbarrier_wait(shared.turn[consumer], turn_parity);
      turn_parity ^= 1;
    }
    problem.begin(tile, consumer, shared.own);
    multiply_tile(problem, shared, steps, consumer, place, sums, look_ahead);
    problem.finish(tile, consumer, sums, shared.own);
  }
  simt::tma_store_wait<0>();  // a store reads shared memory, which ends with the block
}

// Grid: any number of blocks, at most one for each multiprocessor; block: 1 + kConsumers warpgroups. Owns the
// tiles tile_of_round(0), tile_of_round(1), ...
template <class Problem>
__global__ void __launch_bounds__((Problem::kConsumers + 1) * kWarpgroup, 1)
    pipeline_kernel(const __grid_constant__ typename Problem::Arguments arguments) {
  SIMT_DYN_SHARED(shared, PipelineShared<Problem>);
  constexpr int kReaders = Problem::kInTurns ? 1 : Problem::kConsumers;  // of a stage
  Problem problem(arguments);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Problem::kStages; ++stage) {
      simt::mbarrier_init(shared.full[stage], 1);
      simt::mbarrier_init(shared.empty[stage], kReaders * kWarpgroup / 32);
    }
    for (int consumer = 0; consumer < Problem::kConsumers; ++consumer) {
      simt::mbarrier_init(shared.turn[consumer], kWarpgroup);
    }
    simt::fence_mbarrier_init();
  }
  problem.prepare(shared.stages, shared.own);
  simt::fence_proxy_async();  // for what prepare() wrote
  __syncthreads();

  const int warpgroup = threadIdx.x / kWarpgroup;
  if (warpgroup == 0) {
    if constexpr (Problem::kConsumers > 1) {
      simt::setmaxnreg_dec<RoleRegisters<Problem::kConsumers>::kProducer>();
    }
    if (threadIdx.x == 0) produce(problem, shared);
  } else {
    if constexpr (Problem::kConsumers > 1) {
      simt::setmaxnreg_inc<RoleRegisters<Problem::kConsumers>::kConsumer>();
    }
    consume(problem, shared, warpgroup - 1);
  }
}

// tiles: what Problem::tiles() will say. multiprocessors: of the device, simt::gpu().multiprocessors.
template <class Problem>
void launch_pipeline(const typename Problem::Arguments& arguments, int tiles, int multiprocessors,
                     simt::stream_t stream) {
  static_assert(sizeof(PipelineShared<Problem>) <= kMostSharedBytes, "more shared memory than a block has");
  const int blocks = tiles < multiprocessors ? tiles : multiprocessors;
  simt::launch(pipeline_kernel<Problem>, dim3(blocks), dim3((Problem::kConsumers + 1) * kWarpgroup),
               sizeof(PipelineShared<Problem>), stream, arguments);
}

}  // namespace alexnet
