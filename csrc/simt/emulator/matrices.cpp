// Which lane holds which element (PTX ISA, ldmatrix, stmatrix and mma.m16n8k16).

#include "simt/emulator/matrices.h"

#include <cstring>
#include <string>

#include "simt/emulator/bf16.h"
#include "simt/emulator/shared_memory.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

using Lanes = std::array<std::uint64_t, 32>;

template <class Args>
const Args& args_of(const Lanes& lanes, std::size_t lane) {
  return *reinterpret_cast<const Args*>(lanes[lane]);
}

// Half 0 is the low one.
float half_of(std::uint32_t word, int half) {
  return to_float({static_cast<std::uint16_t>(half == 0 ? word & 0xffff : word >> 16)});
}

void check_row(const MatrixRow& args, std::size_t lane, const char* name, const SharedMemory& shared,
               Site site) {
  const auto refuse = [&](const std::string& what) {
    throw Error(std::string(name) + " at " + where(site) + ": the row of lane " + std::to_string(lane) +
                what);
  };
  if (!shared.contains(args.row)) refuse(" is not in shared memory");
  if (reinterpret_cast<std::uintptr_t>(args.row) % 16 != 0) {
    refuse(", " + shared.describe(args.row) + ", is no multiple of 16 bytes");
  }
  if (!shared.inside(args.row, 16)) {
    refuse(", 16 bytes at " + shared.describe(args.row) + ", reaches past its end");
  }
}

void move_matrices(const Lanes& lanes, bool load, const SharedMemory& shared, Site site) {
  const bool trans = args_of<MatrixRow>(lanes, 0).trans;
  for (std::size_t lane = 0; lane < 32; ++lane) {
    check_row(args_of<MatrixRow>(lanes, lane), lane, load ? "ldmatrix_x4" : "stmatrix_x4", shared, site);
  }
  for (std::size_t matrix = 0; matrix < 4; ++matrix) {
    for (std::size_t lane = 0; lane < 32; ++lane) {
      for (std::size_t half = 0; half < 2; ++half) {
        const std::size_t row = trans ? lane % 4 * 2 + half : lane / 4;
        const std::size_t column = trans ? lane / 4 : lane % 4 * 2 + half;
        auto* element =
            static_cast<unsigned char*>(args_of<MatrixRow>(lanes, matrix * 8 + row).row) + column * 2;
        auto* in_register =
            reinterpret_cast<unsigned char*>(args_of<MatrixRow>(lanes, lane).registers + matrix) + half * 2;
        std::memcpy(load ? in_register : element, load ? element : in_register, 2);
      }
    }
  }
}

void multiply(const Lanes& lanes) {
  float a[16][16];
  float b[16][8];
  for (std::size_t lane = 0; lane < 32; ++lane) {
    const auto& args = args_of<MmaOperands>(lanes, lane);
    const std::size_t g = lane / 4, q = lane % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const auto h = static_cast<std::size_t>(half);
      for (std::size_t i = 0; i < 4; ++i) a[g + i % 2 * 8][q + h + i / 2 * 8] = half_of(args.a[i], half);
      for (std::size_t i = 0; i < 2; ++i) b[q + h + i * 8][g] = half_of(args.b[i], half);
    }
  }
  for (std::size_t lane = 0; lane < 32; ++lane) {
    const auto& args = args_of<MmaOperands>(lanes, lane);
    for (std::size_t i = 0; i < 4; ++i) {
      float sum = args.d[i];
      for (std::size_t k = 0; k < 16; ++k) sum += a[lane / 4 + i / 2 * 8][k] * b[k][lane % 4 * 2 + i % 2];
      args.d[i] = sum;
    }
  }
}

}  // namespace

void run_matrix_operation(WarpOperation operation, const Lanes& lanes, const SharedMemory& shared,
                          Site site) {
  if (operation == WarpOperation::mma) {
    multiply(lanes);
  } else {
    move_matrices(lanes, operation == WarpOperation::ldmatrix, shared, site);
  }
}

}  // namespace simt::emulator
