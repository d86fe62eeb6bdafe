import torch

from engine.step.sound import put_answer


def test_an_answer_is_put_where_the_plain_one_is(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    pcm = torch.randn(3, 1920, generator=generator) * 0.5
    # Halves, which go to the even neighbour, and what is louder than full scale.
    pcm[0, :8] = torch.tensor([0.5, 1.5, -0.5, -1.5, 32767.5, 32766.5, -32768.5, 5.0]) / 32768
    pcm[1, :4] = torch.tensor([1.0, -1.0, 7.0, -7.0])
    said, heard = (torch.randint(0, 32_000, (3, count), generator=generator) for count in (9, 8))
    answers = []
    for put in (put_answer.plain, put_answer.kernel):
        where = device if put is put_answer.kernel else torch.device("cpu")
        tokens = torch.full((3, 17), -1, device=where)
        sound = torch.full((3, 1920), -1, dtype=torch.int16, device=where)
        there = said.to(where)
        put(pcm.to(where), there[:, 0], there[:, 1:], heard.to(where), tokens, sound)
        answers.append((tokens.cpu(), sound.cpu()))
    (tokens, sound), (kernel_tokens, kernel_sound) = answers
    assert torch.equal(kernel_tokens, tokens)
    assert torch.equal(kernel_sound, sound)
    assert sound[0, :4].tolist() == [0, 2, 0, -2]
    assert sound[1, :4].tolist() == [32767, -32768, 32767, -32768]
