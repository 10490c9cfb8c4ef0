// wgmma of every width for cuda_hopper.h.
//
// An asm statement names each register of the accumulator by itself, and its operands are numbered. So the
// lists are put together here from pieces of four registers, one for each 8 columns of D: SIMT_D3 is the
// numbers of the first three pieces, SIMT_R3 their registers.
#pragma once

namespace simt {

#define SIMT_D1 "%0, %1, %2, %3"
#define SIMT_R1 "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
#define SIMT_D2 SIMT_D1 ", %4, %5, %6, %7"
#define SIMT_R2 SIMT_R1, "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])
#define SIMT_D3 SIMT_D2 ", %8, %9, %10, %11"
#define SIMT_R3 SIMT_R2, "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11])
#define SIMT_D4 SIMT_D3 ", %12, %13, %14, %15"
#define SIMT_R4 SIMT_R3, "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
#define SIMT_D5 SIMT_D4 ", %16, %17, %18, %19"
#define SIMT_R5 SIMT_R4, "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19])
#define SIMT_D6 SIMT_D5 ", %20, %21, %22, %23"
#define SIMT_R6 SIMT_R5, "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23])
#define SIMT_D7 SIMT_D6 ", %24, %25, %26, %27"
#define SIMT_R7 SIMT_R6, "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27])
#define SIMT_D8 SIMT_D7 ", %28, %29, %30, %31"
#define SIMT_R8 SIMT_R7, "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define SIMT_D9 SIMT_D8 ", %32, %33, %34, %35"
#define SIMT_R9 SIMT_R8, "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35])
#define SIMT_D10 SIMT_D9 ", %36, %37, %38, %39"
#define SIMT_R10 SIMT_R9, "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39])
#define SIMT_D11 SIMT_D10 ", %40, %41, %42, %43"
#define SIMT_R11 SIMT_R10, "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43])
#define SIMT_D12 SIMT_D11 ", %44, %45, %46, %47"
#define SIMT_R12 SIMT_R11, "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47])
#define SIMT_D13 SIMT_D12 ", %48, %49, %50, %51"
#define SIMT_R13 SIMT_R12, "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51])
#define SIMT_D14 SIMT_D13 ", %52, %53, %54, %55"
#define SIMT_R14 SIMT_R13, "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55])
#define SIMT_D15 SIMT_D14 ", %56, %57, %58, %59"
#define SIMT_R15 SIMT_R14, "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59])
#define SIMT_D16 SIMT_D15 ", %60, %61, %62, %63"
#define SIMT_R16 SIMT_R15, "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
#define SIMT_D17 SIMT_D16 ", %64, %65, %66, %67"
#define SIMT_R17 SIMT_R16, "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67])
#define SIMT_D18 SIMT_D17 ", %68, %69, %70, %71"
#define SIMT_R18 SIMT_R17, "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71])
#define SIMT_D19 SIMT_D18 ", %72, %73, %74, %75"
#define SIMT_R19 SIMT_R18, "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75])
#define SIMT_D20 SIMT_D19 ", %76, %77, %78, %79"
#define SIMT_R20 SIMT_R19, "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79])
#define SIMT_D21 SIMT_D20 ", %80, %81, %82, %83"
#define SIMT_R21 SIMT_R20, "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83])
#define SIMT_D22 SIMT_D21 ", %84, %85, %86, %87"
#define SIMT_R22 SIMT_R21, "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87])
#define SIMT_D23 SIMT_D22 ", %88, %89, %90, %91"
#define SIMT_R23 SIMT_R22, "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91])
#define SIMT_D24 SIMT_D23 ", %92, %93, %94, %95"
#define SIMT_R24 SIMT_R23, "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95])
#define SIMT_D25 SIMT_D24 ", %96, %97, %98, %99"
#define SIMT_R25 SIMT_R24, "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99])
#define SIMT_D26 SIMT_D25 ", %100, %101, %102, %103"
#define SIMT_R26 SIMT_R25, "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103])
#define SIMT_D27 SIMT_D26 ", %104, %105, %106, %107"
#define SIMT_R27 SIMT_R26, "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107])
#define SIMT_D28 SIMT_D27 ", %108, %109, %110, %111"
#define SIMT_R28 SIMT_R27, "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111])
#define SIMT_D29 SIMT_D28 ", %112, %113, %114, %115"
#define SIMT_R29 SIMT_R28, "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115])
#define SIMT_D30 SIMT_D29 ", %116, %117, %118, %119"
#define SIMT_R30 SIMT_R29, "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119])
#define SIMT_D31 SIMT_D30 ", %120, %121, %122, %123"
#define SIMT_R31 SIMT_R30, "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123])
#define SIMT_D32 SIMT_D31 ", %124, %125, %126, %127"
#define SIMT_R32 SIMT_R31, "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])

// Both operands in shared memory. n: columns of D; pieces: n / 8; then the numbers of the operands a, b, add
// and of the two majors.
#define SIMT_WGMMA_SHARED(n, pieces, a_, b_, add_, major_a, major_b)                                     \
  template <Major A, Major B>                                                                            \
  __device__ __forceinline__ void wgmma(float (&d)[n / 2], std::uint64_t a, std::uint64_t b, bool add) { \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " add_                                                \
                 ", 0;\n"                                                                                \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" SIMT_D##pieces             \
                 "}, " a_ ", " b_ ", p, 1, 1, " major_a ", " major_b ";\n}\n"                            \
                 : SIMT_R##pieces                                                                        \
                 : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(static_cast<int>(A)),                 \
                   "n"(static_cast<int>(B)));                                                            \
  }

// A in registers, four of them.
#define SIMT_WGMMA_REGISTERS(n, pieces, a0, a1, a2, a3, b_, add_, major_b)                               \
  template <Major B>                                                                                     \
  __device__ __forceinline__ void wgmma(float (&d)[n / 2], const std::uint32_t (&a)[4], std::uint64_t b, \
                                        bool add) {                                                      \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " add_                                                \
                 ", 0;\n"                                                                                \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" SIMT_D##pieces             \
                 "}, {" a0 ", " a1 ", " a2 ", " a3 "}, " b_ ", p, 1, 1, " major_b ";\n}\n"               \
                 : SIMT_R##pieces                                                                        \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)),       \
                   "n"(static_cast<int>(B)));                                                            \
  }

SIMT_WGMMA_SHARED(8, 1, "%4", "%5", "%6", "%7", "%8")
SIMT_WGMMA_SHARED(16, 2, "%8", "%9", "%10", "%11", "%12")
SIMT_WGMMA_SHARED(24, 3, "%12", "%13", "%14", "%15", "%16")
SIMT_WGMMA_SHARED(32, 4, "%16", "%17", "%18", "%19", "%20")
SIMT_WGMMA_SHARED(40, 5, "%20", "%21", "%22", "%23", "%24")
SIMT_WGMMA_SHARED(48, 6, "%24", "%25", "%26", "%27", "%28")
SIMT_WGMMA_SHARED(56, 7, "%28", "%29", "%30", "%31", "%32")
SIMT_WGMMA_SHARED(64, 8, "%32", "%33", "%34", "%35", "%36")
SIMT_WGMMA_SHARED(72, 9, "%36", "%37", "%38", "%39", "%40")
SIMT_WGMMA_SHARED(80, 10, "%40", "%41", "%42", "%43", "%44")
SIMT_WGMMA_SHARED(88, 11, "%44", "%45", "%46", "%47", "%48")
SIMT_WGMMA_SHARED(96, 12, "%48", "%49", "%50", "%51", "%52")
SIMT_WGMMA_SHARED(104, 13, "%52", "%53", "%54", "%55", "%56")
SIMT_WGMMA_SHARED(112, 14, "%56", "%57", "%58", "%59", "%60")
SIMT_WGMMA_SHARED(120, 15, "%60", "%61", "%62", "%63", "%64")
SIMT_WGMMA_SHARED(128, 16, "%64", "%65", "%66", "%67", "%68")
SIMT_WGMMA_SHARED(136, 17, "%68", "%69", "%70", "%71", "%72")
SIMT_WGMMA_SHARED(144, 18, "%72", "%73", "%74", "%75", "%76")
SIMT_WGMMA_SHARED(152, 19, "%76", "%77", "%78", "%79", "%80")
SIMT_WGMMA_SHARED(160, 20, "%80", "%81", "%82", "%83", "%84")
SIMT_WGMMA_SHARED(168, 21, "%84", "%85", "%86", "%87", "%88")
SIMT_WGMMA_SHARED(176, 22, "%88", "%89", "%90", "%91", "%92")
SIMT_WGMMA_SHARED(184, 23, "%92", "%93", "%94", "%95", "%96")
SIMT_WGMMA_SHARED(192, 24, "%96", "%97", "%98", "%99", "%100")
SIMT_WGMMA_SHARED(200, 25, "%100", "%101", "%102", "%103", "%104")
SIMT_WGMMA_SHARED(208, 26, "%104", "%105", "%106", "%107", "%108")
SIMT_WGMMA_SHARED(216, 27, "%108", "%109", "%110", "%111", "%112")
SIMT_WGMMA_SHARED(224, 28, "%112", "%113", "%114", "%115", "%116")
SIMT_WGMMA_SHARED(232, 29, "%116", "%117", "%118", "%119", "%120")
SIMT_WGMMA_SHARED(240, 30, "%120", "%121", "%122", "%123", "%124")
SIMT_WGMMA_SHARED(248, 31, "%124", "%125", "%126", "%127", "%128")
SIMT_WGMMA_SHARED(256, 32, "%128", "%129", "%130", "%131", "%132")

SIMT_WGMMA_REGISTERS(8, 1, "%4", "%5", "%6", "%7", "%8", "%9", "%10")
SIMT_WGMMA_REGISTERS(16, 2, "%8", "%9", "%10", "%11", "%12", "%13", "%14")
SIMT_WGMMA_REGISTERS(24, 3, "%12", "%13", "%14", "%15", "%16", "%17", "%18")
SIMT_WGMMA_REGISTERS(32, 4, "%16", "%17", "%18", "%19", "%20", "%21", "%22")
SIMT_WGMMA_REGISTERS(40, 5, "%20", "%21", "%22", "%23", "%24", "%25", "%26")
SIMT_WGMMA_REGISTERS(48, 6, "%24", "%25", "%26", "%27", "%28", "%29", "%30")
SIMT_WGMMA_REGISTERS(56, 7, "%28", "%29", "%30", "%31", "%32", "%33", "%34")
SIMT_WGMMA_REGISTERS(64, 8, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
SIMT_WGMMA_REGISTERS(72, 9, "%36", "%37", "%38", "%39", "%40", "%41", "%42")
SIMT_WGMMA_REGISTERS(80, 10, "%40", "%41", "%42", "%43", "%44", "%45", "%46")
SIMT_WGMMA_REGISTERS(88, 11, "%44", "%45", "%46", "%47", "%48", "%49", "%50")
SIMT_WGMMA_REGISTERS(96, 12, "%48", "%49", "%50", "%51", "%52", "%53", "%54")
SIMT_WGMMA_REGISTERS(104, 13, "%52", "%53", "%54", "%55", "%56", "%57", "%58")
SIMT_WGMMA_REGISTERS(112, 14, "%56", "%57", "%58", "%59", "%60", "%61", "%62")
SIMT_WGMMA_REGISTERS(120, 15, "%60", "%61", "%62", "%63", "%64", "%65", "%66")
SIMT_WGMMA_REGISTERS(128, 16, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
SIMT_WGMMA_REGISTERS(136, 17, "%68", "%69", "%70", "%71", "%72", "%73", "%74")
SIMT_WGMMA_REGISTERS(144, 18, "%72", "%73", "%74", "%75", "%76", "%77", "%78")
SIMT_WGMMA_REGISTERS(152, 19, "%76", "%77", "%78", "%79", "%80", "%81", "%82")
SIMT_WGMMA_REGISTERS(160, 20, "%80", "%81", "%82", "%83", "%84", "%85", "%86")
SIMT_WGMMA_REGISTERS(168, 21, "%84", "%85", "%86", "%87", "%88", "%89", "%90")
SIMT_WGMMA_REGISTERS(176, 22, "%88", "%89", "%90", "%91", "%92", "%93", "%94")
SIMT_WGMMA_REGISTERS(184, 23, "%92", "%93", "%94", "%95", "%96", "%97", "%98")
SIMT_WGMMA_REGISTERS(192, 24, "%96", "%97", "%98", "%99", "%100", "%101", "%102")
SIMT_WGMMA_REGISTERS(200, 25, "%100", "%101", "%102", "%103", "%104", "%105", "%106")
SIMT_WGMMA_REGISTERS(208, 26, "%104", "%105", "%106", "%107", "%108", "%109", "%110")
SIMT_WGMMA_REGISTERS(216, 27, "%108", "%109", "%110", "%111", "%112", "%113", "%114")
SIMT_WGMMA_REGISTERS(224, 28, "%112", "%113", "%114", "%115", "%116", "%117", "%118")
SIMT_WGMMA_REGISTERS(232, 29, "%116", "%117", "%118", "%119", "%120", "%121", "%122")
SIMT_WGMMA_REGISTERS(240, 30, "%120", "%121", "%122", "%123", "%124", "%125", "%126")
SIMT_WGMMA_REGISTERS(248, 31, "%124", "%125", "%126", "%127", "%128", "%129", "%130")
SIMT_WGMMA_REGISTERS(256, 32, "%128", "%129", "%130", "%131", "%132", "%133", "%134")

#undef SIMT_WGMMA_SHARED
#undef SIMT_WGMMA_REGISTERS
#undef SIMT_D1
#undef SIMT_R1
#undef SIMT_D2
#undef SIMT_R2
#undef SIMT_D3
#undef SIMT_R3
#undef SIMT_D4
#undef SIMT_R4
#undef SIMT_D5
#undef SIMT_R5
#undef SIMT_D6
#undef SIMT_R6
#undef SIMT_D7
#undef SIMT_R7
#undef SIMT_D8
#undef SIMT_R8
#undef SIMT_D9
#undef SIMT_R9
#undef SIMT_D10
#undef SIMT_R10
#undef SIMT_D11
#undef SIMT_R11
#undef SIMT_D12
#undef SIMT_R12
#undef SIMT_D13
#undef SIMT_R13
#undef SIMT_D14
#undef SIMT_R14
#undef SIMT_D15
#undef SIMT_R15
#undef SIMT_D16
#undef SIMT_R16
#undef SIMT_D17
#undef SIMT_R17
#undef SIMT_D18
#undef SIMT_R18
#undef SIMT_D19
#undef SIMT_R19
#undef SIMT_D20
#undef SIMT_R20
#undef SIMT_D21
#undef SIMT_R21
#undef SIMT_D22
#undef SIMT_R22
#undef SIMT_D23
#undef SIMT_R23
#undef SIMT_D24
#undef SIMT_R24
#undef SIMT_D25
#undef SIMT_R25
#undef SIMT_D26
#undef SIMT_R26
#undef SIMT_D27
#undef SIMT_R27
#undef SIMT_D28
#undef SIMT_R28
#undef SIMT_D29
#undef SIMT_R29
#undef SIMT_D30
#undef SIMT_R30
#undef SIMT_D31
#undef SIMT_R31
#undef SIMT_D32
#undef SIMT_R32

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void touch(float& one) { asm volatile("" : "+f"(one)::"memory"); }

template <int Size, int... Index>
__device__ __forceinline__ void touch(float (&d)[Size], std::integer_sequence<int, Index...>) {
  (touch(d[Index]), ...);
}

// The accumulators are named so that the compiler moves no reading of them to before the wait.
template <int Groups, int... Sizes>
__device__ __forceinline__ void wgmma_wait(float (&... d)[Sizes]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Groups) : "memory");
  (touch(d, std::make_integer_sequence<int, Sizes>()), ...);
}

// tile: what tma_load or a kernel wrote to shared memory; leading, stride: bytes, see hopper.h.
__device__ __forceinline__ std::uint64_t wgmma_descriptor(const void* tile, std::uint32_t leading,
                                                          std::uint32_t stride,
                                                          Swizzle swizzle = Swizzle::bytes_128) {
  constexpr std::uint64_t kLayouts[] = {0, 3, 2, 1};  // by Swizzle
  const std::uint64_t start = shared_address(tile) & 0x3ffff;
  return start >> 4 | std::uint64_t(leading >> 4) << 16 | std::uint64_t(stride >> 4) << 32 |
         kLayouts[static_cast<int>(swizzle)] << 62;
}

}  // namespace simt
