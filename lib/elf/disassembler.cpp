// The only file that sees LLVM's MC layer, whose API moves between releases (14 here).
#include "elf/disassembler.h"

#include <llvm/BinaryFormat/ELF.h>
#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCInstPrinter.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/MCTargetOptions.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>

#include <mutex>

#include "support/error.h"

namespace klp::elf {
namespace {

void initialise_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllDisassemblers();
  });
}

const char* triple_of(uint16_t machine) {
  switch (machine) {
    case llvm::ELF::EM_X86_64:
      return "x86_64-linux-gnu";
    case llvm::ELF::EM_PPC64:
      return "powerpc64le-linux-gnu";
    default:
      fail("machine type {} is not supported", machine);
  }
}

llvm::ArrayRef<uint8_t> as_llvm(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

struct Disassembler::State {
  const llvm::Target* target = nullptr;
  std::unique_ptr<llvm::MCRegisterInfo> registers;
  std::unique_ptr<llvm::MCAsmInfo> assembler;
  std::unique_ptr<llvm::MCInstrInfo> instructions;
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget;
  std::unique_ptr<llvm::MCContext> context;
  std::unique_ptr<llvm::MCDisassembler> disassembler;
  std::unique_ptr<llvm::MCInstPrinter> printer;

  void classify(const llvm::MCInst& inst, Instruction& result) const;
};

Disassembler::Disassembler(uint16_t machine) : state_(std::make_unique<State>()) {
  initialise_llvm();
  const char* triple = triple_of(machine);
  std::string problem;
  State& s = *state_;
  s.target = llvm::TargetRegistry::lookupTarget(triple, problem);
  check(s.target != nullptr, "LLVM has no target {}: {}", triple, problem);
  s.registers.reset(s.target->createMCRegInfo(triple));
  s.assembler.reset(s.target->createMCAsmInfo(*s.registers, triple, llvm::MCTargetOptions()));
  s.instructions.reset(s.target->createMCInstrInfo());
  s.subtarget.reset(s.target->createMCSubtargetInfo(triple, "", ""));
  s.context =
      std::make_unique<llvm::MCContext>(llvm::Triple(triple), s.assembler.get(), s.registers.get(), s.subtarget.get());
  s.disassembler.reset(s.target->createMCDisassembler(*s.subtarget, *s.context));
  check(s.disassembler != nullptr, "LLVM has no disassembler for {}", triple);
  s.printer.reset(s.target->createMCInstPrinter(llvm::Triple(triple), 0, *s.assembler, *s.instructions, *s.registers));
}

Disassembler::~Disassembler() = default;
Disassembler::Disassembler(Disassembler&&) noexcept = default;

void Disassembler::State::classify(const llvm::MCInst& inst, Instruction& result) const {
  const llvm::MCInstrDesc& desc = instructions->get(inst.getOpcode());
  const llvm::StringRef name = instructions->getName(inst.getOpcode());
  result.nop = name.startswith("NOOP") || name == "NOP";
  // A direct branch has its displacement as an immediate operand of PC-relative type.
  const bool pc_relative = desc.getNumOperands() > 0 && inst.getNumOperands() > 0 && inst.getOperand(0).isImm() &&
                           desc.OpInfo[0].OperandType == llvm::MCOI::OPERAND_PCREL;
  if (!pc_relative) return;
  result.target = static_cast<int64_t>(result.offset) + result.size + inst.getOperand(0).getImm();
  if (desc.isCall()) {
    result.flow = Flow::call;
  } else if (desc.isConditionalBranch()) {
    result.flow = Flow::conditional_jump;
    // JCC_1 and JCC_4 differ in length only, the condition is their second operand; LOOP and JRCXZ have none.
    const bool jcc = name.startswith("JCC") && inst.getNumOperands() > 1;
    result.condition = static_cast<uint16_t>(jcc ? inst.getOperand(1).getImm() : 0x100 + inst.getOpcode() % 0x1000);
  } else if (desc.isBranch()) {
    result.flow = Flow::jump;
  }
}

std::vector<Instruction> Disassembler::decode(std::span<const std::byte> code) const {
  std::vector<Instruction> result;
  result.reserve(code.size() / 4);
  const llvm::ArrayRef<uint8_t> bytes = as_llvm(code);
  for (uint64_t offset = 0; offset < bytes.size();) {
    llvm::MCInst inst;
    uint64_t size = 0;
    Instruction instruction;
    instruction.offset = offset;
    const auto status = state_->disassembler->getInstruction(inst, size, bytes.slice(offset), offset, llvm::nulls());
    if (status == llvm::MCDisassembler::Success && size > 0) {
      instruction.size = static_cast<uint8_t>(size);
      state_->classify(inst, instruction);
    } else {
      instruction.size = 1;
    }
    result.push_back(instruction);
    offset += instruction.size;
  }
  return result;
}

std::string Disassembler::text(std::span<const std::byte> code, uint64_t offset) const {
  if (offset >= code.size()) return "(end)";
  llvm::MCInst inst;
  uint64_t size = 0;
  const auto status = state_->disassembler->getInstruction(inst, size, as_llvm(code).slice(offset), 0, llvm::nulls());
  if (status != llvm::MCDisassembler::Success) return "(unknown)";
  std::string out;
  llvm::raw_string_ostream stream(out);
  state_->printer->printInst(&inst, 0, "", *state_->subtarget, stream);
  stream.flush();
  for (char& c : out) {
    if (c == '\t') c = ' ';
  }
  return out.empty() || out[0] != ' ' ? out : out.substr(1);
}

}  // namespace klp::elf
