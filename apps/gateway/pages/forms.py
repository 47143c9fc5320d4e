"""What people type into pages, checked."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm

EMAIL_MAX_CHARS = 254
URL_MAX_CHARS = 2000


class SignInForm(AuthenticationForm):
    """Email and password of a member of this tenant."""

    username = forms.CharField(
        label="Email",
        max_length=EMAIL_MAX_CHARS,
        widget=forms.EmailInput(attrs={"class": "input", "autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        widget=forms.PasswordInput(attrs={"class": "input", "autocomplete": "current-password"}),
    )
    error_messages = {
        "invalid_login": "That email and password do not open this organisation.",
        "inactive": "That email and password do not open this organisation.",
    }


class AddressForm(forms.Form):
    """A web address to fetch."""

    url = forms.URLField(max_length=URL_MAX_CHARS, assume_scheme="https")
