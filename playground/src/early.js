// Before anything is drawn: the colours that were chosen. A plain script, for a module would come later.
{
  const theme = localStorage.getItem('tailrace.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
}
